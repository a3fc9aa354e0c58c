import { describe, expect, test } from 'vitest';
import type { Entry } from '#core/generation.ts';
import { EVICTION_GRACE_MILLISECONDS, TOMBSTONE_MILLISECONDS } from '#core/retention/retention.ts';
import { createEvictHandler } from '#functions/evict/handler.ts';
import { finishEvictions } from '#retention/finish-evictions.ts';
import type { EvictOutcome } from '#retention/evict.ts';
import type { Telemetry, TelemetryEvent } from '#functions/shared/telemetry.ts';
import {
  HOUR,
  isIndexed,
  killedAt,
  LATENT_BYTES,
  SETTINGS,
  storeEntry,
  survives,
  useStores,
} from './retention-fixture.ts';

const stores = useStores();
const now = Date.now();
const afterGrace = () => now + EVICTION_GRACE_MILLISECONDS;
const afterBurial = () => afterGrace() + TOMBSTONE_MILLISECONDS;

async function leave({ entryId }: Entry): Promise<void> {
  expect(await stores().table.moveEntry(entryId, 'READY', 'EVICTING', now)).toBe(true);
}

async function stateOf({ entryId, latentKey }: Entry) {
  const { table, objects } = stores();
  return {
    state: (await table.getEntry(entryId))?.state ?? 'none',
    isIndexed: await isIndexed(stores(), entryId),
    hasLatent: (await objects.head(latentKey)) !== null,
  };
}

describe('finishEvictions', () => {
  test('an entry that leaves loses its vectors at once and its latent after the grace period', async () => {
    const entry = await storeEntry(stores());
    await leave(entry);

    const during = await finishEvictions(stores(), { now: () => afterGrace() - 1 });
    const duringState = await stateOf(entry);
    const after = await finishEvictions(stores(), { now: afterGrace });
    const afterState = await stateOf(entry);

    expect(during).toMatchObject({ waiting: 1, latentsDeleted: 0, isComplete: true });
    expect(duringState).toEqual({ state: 'EVICTING', isIndexed: false, hasLatent: true });
    expect(after).toMatchObject({
      waiting: 0,
      latentsDeleted: 1,
      latentBytesDeleted: LATENT_BYTES,
      recordsDeleted: 0,
    });
    expect(afterState).toEqual({ state: 'TOMBSTONE', isIndexed: false, hasLatent: false });
    const again = await finishEvictions(stores(), { now: afterGrace });
    expect(again).toMatchObject({ waiting: 0, latentsDeleted: 0, recordsDeleted: 0 });
    const last = await finishEvictions(stores(), { now: afterBurial });
    expect(last).toMatchObject({ recordsDeleted: 1 });
    expect(await stateOf(entry)).toMatchObject({ state: 'none' });
  });

  test('READY entries are none of its business', async () => {
    const entry = await storeEntry(stores());

    await finishEvictions(stores(), { now: afterBurial });

    expect(await stateOf(entry)).toEqual({ state: 'READY', isIndexed: true, hasLatent: true });
  });

  test('a dry run says what it would do and does nothing', async () => {
    const entry = await storeEntry(stores());
    await leave(entry);

    const summary = await finishEvictions(stores(), { now: afterGrace, isDryRun: true });

    expect(summary).toMatchObject({
      isDryRun: true,
      latentsDeleted: 1,
      latentBytesDeleted: LATENT_BYTES,
    });
    expect(await stateOf(entry)).toEqual({ state: 'EVICTING', isIndexed: true, hasLatent: true });
    await finishEvictions(stores(), { now: afterGrace });
    await finishEvictions(stores(), { now: afterBurial });
  });

  test('what the deadline leaves over is finished by the next run', async () => {
    const entries = [];
    for (let count = 0; count < 30; count++) {
      const entry = await storeEntry(stores());
      await leave(entry);
      entries.push(entry);
    }
    let clock = afterGrace();
    const ticking = () => clock++;

    const first = await finishEvictions(stores(), { now: ticking, deadline: clock + 20 });
    const second = await finishEvictions(stores(), { now: afterGrace });

    expect(first.isComplete).toBe(false);
    expect(first.latentsDeleted).toBeGreaterThan(0);
    expect(second.isComplete).toBe(true);
    expect(first.latentsDeleted + second.latentsDeleted).toBe(entries.length);
    for (const entry of entries) {
      expect(await stateOf(entry)).toMatchObject({ state: 'TOMBSTONE', hasLatent: false });
    }
    await finishEvictions(stores(), { now: afterBurial });
  });

  test.each(['before', 'after'] as const)(
    'killed %s any of its calls it leaves nothing that a look-up could find, and the next run ends it',
    async (when) => {
      for (let call = 1; ; call++) {
        const entry = await storeEntry(stores());
        await leave(entry);

        const isDone = await survives(
          finishEvictions(killedAt(stores(), call, when), { now: afterGrace }),
        );
        const { state, isIndexed, hasLatent } = await stateOf(entry);
        expect(state).not.toBe('READY');
        if (!hasLatent) expect(isIndexed).toBe(false);

        await finishEvictions(stores(), { now: afterGrace });
        expect(await stateOf(entry)).toEqual({
          state: 'TOMBSTONE',
          isIndexed: false,
          hasLatent: false,
        });
        await survives(finishEvictions(killedAt(stores(), call, when), { now: afterBurial }));
        await finishEvictions(stores(), { now: afterBurial });
        expect(await stateOf(entry)).toMatchObject({ state: 'none' });
        if (isDone) {
          // scan, vectors, latent, tombstone
          expect(call).toBeGreaterThan(4);
          return;
        }
      }
    },
  );
});

test('the function reports what it evaluated and evicted, with metrics', async () => {
  const { entryId } = await storeEntry(stores());
  await stores().table.moveEntry(entryId, 'READY', 'EVICTING', Date.now() - HOUR);
  const said: TelemetryEvent[] = [];
  const measured: object[] = [];
  const telemetry: Telemetry = {
    log: (event) => void said.push(event),
    measure: (amounts) => void measured.push(amounts),
  };
  const handle = createEvictHandler(stores(), SETTINGS, telemetry);

  const first = (await handle({ isDryRun: false, deadline: Infinity })) as EvictOutcome;
  const second = (await handle({ isDryRun: false, deadline: Infinity })) as EvictOutcome;

  expect(first.finishing.latentsDeleted).toBe(1);
  expect(first.evictionPass.outcome).toBe('completed');
  expect(second.evictionPass.outcome).toBe('not-due');
  expect(said.map(({ event }) => event)).toEqual([
    'eviction_pass_completed',
    'evictions_finished',
    'eviction_pass_skipped',
    'evictions_finished',
  ]);
  expect(said[1]).toEqual({ level: 'info', event: 'evictions_finished', ...first.finishing });
  expect(measured).toEqual([
    {
      entries: expect.any(Number),
      entryBytes: expect.any(Number),
      rentPerMonth: expect.any(Number),
    },
    { evictedEntries: 1, evictedBytes: LATENT_BYTES },
  ]);
});
