import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Entry } from '#core/generation.ts';
import { requestCompatibilityKey } from '#core/requests/identity.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { rentOfHoldings } from '#core/costs/storage-cost.ts';
import { evict } from '#retention/evict.ts';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { collect } from '../collect.ts';
import { MemoryObjects } from '../memory-stores/memory-objects.ts';
import { MemoryVectors } from '../memory-stores/memory-vectors.ts';
import { sampleEntry } from '../aws/samples.ts';
import { killedAt, SETTINGS, survives, type Stores } from './retention-fixture.ts';
import {
  add,
  DAY,
  hexKey,
  hits,
  idsOfOneSegment,
  memoryCache,
  NOW,
  standing,
  standings,
  evaluate,
  evictionPass,
} from './eviction-fixture.ts';

/** Entries of every fate, and what becomes of them without a budget. */
async function mixedCache(stores: Stores, times = 4): Promise<{ entry: Entry; fate: string }[]> {
  const made: { entry: Entry; fate: string }[] = [];
  for (let round = 0; round < times; round++) {
    made.push({ entry: await add(stores), fate: 'READY' });
    made.push({ entry: await add(stores, { ageDays: 120 }), fate: 'rent' });
    made.push({ entry: await add(stores, { ageDays: 120, ...hits(9, 9) }), fate: 'READY' });
    made.push({
      entry: await add(stores, { ageDays: 120, pinnedAt: '2026-03-01T00:00:00.000Z' }),
      fate: 'READY',
    });
  }
  return made;
}

describe('a pass over the cache', () => {
  test('evicts what does not pay its rent, keeps the rest, and says what it holds', async () => {
    const cache = memoryCache();
    const made = await mixedCache(cache);

    const { run, rentPerMonthUsd } = await evaluate(cache);

    const fates = await standings(
      cache,
      made.map(({ entry }) => entry),
    );
    expect(fates).toEqual(made.map(({ fate }) => fate));
    expect(run).toMatchObject({
      kind: 'evict',
      isDryRun: false,
      isComplete: true,
      startedAt: new Date(NOW).toISOString(),
      verdicts: {
        keep: { count: 8, bytes: 800_000_000 },
        pinned: { count: 4, bytes: 400_000_000 },
        rent: { count: 4, bytes: 400_000_000 },
      },
      holdings: {
        entries: 12,
        latents: { standard: { count: 12, bytes: 1_200_000_000, billedBytes: 1_200_000_000 } },
        videoBytes: 12_000,
        // 512 bytes of elements and 192 beside them
        vectorBytes: 12 * 704,
        itemBytes: 12 * (512 + 2560),
      },
    });
    expect(await cache.retention.listRuns('2026-07-01')).toEqual([run]);
    // What entries are judged by is what the books say of them, but for videos and scanning.
    const { total } = rentOfHoldings({ ...run.holdings!, videoBytes: 0 }, priceBookOf('us-east-1'));
    expect(rentPerMonthUsd).toBeCloseTo(Number(total) / 1e12, 4);
  });

  test('that follows at once changes nothing', async () => {
    const cache = memoryCache();
    await mixedCache(cache);
    await evaluate(cache);
    const before = entryItems(cache);

    const { run } = await evaluate(cache);

    expect(entryItems(cache)).toEqual(before);
    expect(run.verdicts).toEqual({
      keep: { count: 8, bytes: 800_000_000 },
      pinned: { count: 4, bytes: 400_000_000 },
    });
  });

  test('over an empty cache is complete, and over one entry too', async () => {
    const cache = memoryCache();

    const empty = await evaluate(cache);
    const only = await add(cache, { ageDays: 120 });
    const one = await evaluate(cache);

    expect(empty.run).toMatchObject({ isComplete: true, verdicts: {}, holdings: { entries: 0 } });
    expect(one.run.verdicts).toEqual({ rent: { count: 1, bytes: 100_000_000 } });
    expect(await standing(cache, only)).toBe('rent');
  });

  test('only looked at, leaves the table as it was, byte for byte, and says the same', async () => {
    const cache = memoryCache();
    await mixedCache(cache);
    const before = structuredClone(cache.dynamo.items);

    const { run } = await evaluate(cache, {}, { isDryRun: true });

    expect(cache.dynamo.items).toEqual(before);
    const done = await evaluate(cache);
    expect(run).toMatchObject({
      isDryRun: true,
      isComplete: true,
      verdicts: done.run.verdicts,
      holdings: done.run.holdings,
    });
  });

  test('learns when entries are hit again, and keeps for longer what is', async () => {
    const busy = memoryCache();
    const idle = memoryCache();
    for (const [cache, isHit] of [
      [busy, true],
      [idle, false],
    ] as const) {
      for (let index = 0; index < 60; index++) {
        // Hit after a silence of 40 days, all of them or none.
        await add(cache, {
          ageDays: 41 + index / 60,
          latentBytes: 1000,
          ...(isHit && {
            ...hits(1, 9, 1),
            previousHitAt: new Date(NOW - (41 + index / 60) * DAY).toISOString(),
          }),
        });
      }
      await evaluate(cache);
      await add(cache, { entryId: 'vid_waiting', ageDays: 36 });
    }

    await evaluate(busy, {}, { now: () => NOW + DAY });
    await evaluate(idle, {}, { now: () => NOW + DAY });

    const waiting = sampleEntry({ entryId: 'vid_waiting' });
    expect([await standing(busy, waiting), await standing(idle, waiting)]).toEqual([
      'READY',
      'rent',
    ]);
  });

  test('leaves alone what was hit, leased or pinned since it was evaluated', async () => {
    const cache = memoryCache();
    const [hit, leased, pinned, left] = await Promise.all(
      idsOfOneSegment(4).map((entryId) => add(cache, { entryId, ageDays: 120 })),
    );
    const lease = { holder: 'a', now: NOW, leaseUntil: NOW + 1000 };
    // The index is read before, the entry moved after: somebody is faster.
    const meanwhile = async () => {
      await cache.table.leaseEntry({ ...lease, entryId: hit!.entryId });
      await cache.table.releaseEntry(hit!.entryId, 'a');
      await cache.table.leaseEntry({ ...lease, entryId: leased!.entryId });
      await cache.table.pinEntry(pinned!.entryId, true);
    };
    const racing = beforeFirst(cache, 'moveEntry', meanwhile);

    const { run } = await evaluate(racing);

    expect(await standings(cache, [hit!, leased!, pinned!, left!])).toEqual([
      'READY',
      'READY',
      'READY',
      'rent',
    ]);
    expect(run.verdicts).toEqual({
      leased: { count: 3, bytes: 300_000_000 },
      rent: { count: 1, bytes: 100_000_000 },
    });
    expect(run.holdings?.entries).toBe(3);
  });

  test('counts an entry of which nothing can be said, keeps it, and goes on', async () => {
    const cache = memoryCache();
    const broken = await add(cache, { latentBytes: -1 });
    const undated = await add(cache, { createdAt: 'yesterday' });
    const rent = await add(cache, { ageDays: 120 });

    const { run } = await evaluate(cache);

    expect(await standings(cache, [broken, undated, rent])).toEqual(['READY', 'READY', 'rent']);
    expect(run.counts).toMatchObject({ unreadable: 2 });
  });
});

describe('a budget', () => {
  test('is filled with what saves most for each dollar of rent, after what is pinned', async () => {
    const cache = memoryCache();
    const pin = { pinnedAt: '2026-03-01T00:00:00.000Z' };
    const pinned = await add(cache, { ageDays: 120, ...pin });
    const best = await add(cache, hits(20, 20));
    const good = await add(cache, hits(5, 5));
    const fair = await add(cache, { ageDays: 2 });

    // Each costs $0.0021 and little: three fit.
    const { run, rentPerMonthUsd } = await evaluate(cache, { budgetUsd: 0.0068 });

    expect(await standings(cache, [pinned, best, good, fair])).toEqual([
      'READY',
      'READY',
      'READY',
      'budget',
    ]);
    expect(run.verdicts).toMatchObject({ budget: { count: 1, bytes: 100_000_000 } });
    expect(rentPerMonthUsd).toBeLessThanOrEqual(0.0068);
    const again = await evaluate(cache, { budgetUsd: 0.0068 });
    expect(again.run.verdicts).not.toHaveProperty('budget');
  });

  test('of many alike entries as many stay as it pays for', async () => {
    const cache = memoryCache();
    for (let index = 0; index < 40; index++) await add(cache);

    const { run, rentPerMonthUsd } = await evaluate(cache, { budgetUsd: 0.02 });

    expect(rentPerMonthUsd).toBeLessThanOrEqual(0.02);
    expect(rentPerMonthUsd).toBeGreaterThan(0.02 - 0.0022);
    expect(run.verdicts!.budget!.count + run.verdicts!.keep!.count).toBe(40);
  });

  test('of nothing keeps what is pinned alone', async () => {
    const cache = memoryCache();
    const pinned = await add(cache, { pinnedAt: '2026-03-01T00:00:00.000Z' });
    const good = await add(cache, hits(5, 5));

    await evaluate(cache, { budgetUsd: 0 });

    expect(await standings(cache, [pinned, good])).toEqual(['READY', 'budget']);
  });
});

describe('duplicates', () => {
  test('of entries that no request can tell apart the best stays', async () => {
    const cache = memoryCache();
    const vectors = { whole: [0.6, 0.8, 0, 0], object: [1, 0, 0, 0], background: null };
    const nearly = { ...vectors, whole: [0.6 + 1e-4, 0.8 - 1e-4, 0, 0] };
    const other = { ...vectors, object: [0, 1, 0, 0] };
    const [worse, best, hit, different, stranger] = [
      await add(cache, { vectors, reuseDepth: 1 }),
      await add(cache, { vectors: nearly }),
      await add(cache, { vectors, reuseDepth: 1, ...hits(30, 9) }),
      await add(cache, { vectors: other }),
      await add(cache, { vectors, tenant: 'other' }),
    ];

    const { run } = await evaluate(cache);

    expect(await standings(cache, [worse, best, hit, different, stranger])).toEqual([
      'duplicate',
      'READY',
      'READY',
      'READY',
      'READY',
    ]);
    expect(run.verdicts).toEqual({
      keep: { count: 4, bytes: 400_000_000 },
      duplicate: { count: 1, bytes: 100_000_000 },
    });
    expect(run.holdings).toMatchObject({ entries: 4, latents: { standard: { count: 4 } } });
  });

  test('of one prompt as many stay as a look-up finds, and what was hit', async () => {
    const cache = memoryCache();
    const promptKey = hexKey('the same');
    const hit = await add(cache, { promptKey, ageDays: 9, reuseDepth: 2, ...hits(30, 9) });
    const others = [];
    for (let index = 0; index < 12; index++) others.push(await add(cache, { promptKey }));

    const { run } = await evaluate(cache);

    expect(run.verdicts).toMatchObject({ keep: { count: 9 }, duplicate: { count: 4 } });
    expect(await standing(cache, hit)).toBe('READY');
    const left = (await standings(cache, others)).filter((state) => state === 'duplicate');
    expect(left).toHaveLength(4);
  });
});

describe('models and storage classes', () => {
  test('what another model has left behind leaves when only one is served', async () => {
    const cache = memoryCache();
    const [mine, theirs] = [hexKey('mine'), hexKey('theirs')];
    const served = await add(cache, { compatibilityKey: mine });
    const old = await add(cache, { compatibilityKey: theirs, ...hits(9, 9) });
    const pinnedAt = '2026-03-01T00:00:00.000Z';
    const pinned = await add(cache, { compatibilityKey: theirs, pinnedAt });
    const guidedKey = requestCompatibilityKey(mine, { guidanceScale: 5 });
    const guided = await add(cache, { compatibilityKey: guidedKey });

    await evaluate(cache, { onlyCompatibilityKey: mine });

    expect(await standings(cache, [served, old, pinned, guided])).toEqual([
      'READY',
      'obsolete',
      'READY',
      'READY',
    ]);
  });

  test('a latent that waits long moves to where waiting is cheap, object first, once', async () => {
    const cache = memoryCache();
    // So much is saved by a hit that it stays for a year unused.
    const patient = { stepsRun: 100, denoiseSeconds: 20_000 };
    const waiting = await add(cache, { ageDays: 150, ...patient });
    const fresh = await add(cache, { ageDays: 1, ...patient });
    const lost = await add(cache, { ageDays: 150, ...patient });
    await cache.objects.delete(lost.latentKey);

    const { run } = await evaluate(cache, { movesStorageClasses: true });
    const again = await evaluate(cache, { movesStorageClasses: true });

    expect((await cache.objects.head(waiting.latentKey))?.storageClass).toBe('GLACIER_IR');
    expect(await cache.table.getEntry(waiting.entryId)).toMatchObject({
      state: 'READY',
      storageClass: 'GLACIER_IR',
    });
    expect((await cache.objects.head(fresh.latentKey))?.storageClass).toBeUndefined();
    expect(await standing(cache, lost)).toBe('latent-missing');
    expect(run.verdicts).toMatchObject({ move: { count: 1 }, 'latent-missing': { count: 1 } });
    expect(run.holdings?.latents).toMatchObject({ 'glacier-ir': { count: 1 } });
    expect(again.run.verdicts).not.toHaveProperty('move');
  });
});

describe('a pass that does not come to its end', () => {
  test('stopped after every page it decides what one in one go decides', async () => {
    const cache = memoryCache();
    const made = await mixedCache(cache, 6);
    const inOneGo = memoryCache(cache.dynamo.fork());
    const settings = { budgetUsd: 0.02 };

    const calls: boolean[] = [];
    for (;;) {
      const { run } = await evaluate(cache, settings, { pageSize: 1, deadline: 0 });
      calls.push(run.isComplete);
      if (run.isComplete) break;
    }
    const { run } = await evaluate(inOneGo, settings);

    // Two phases have a page for each entry, the third for those that stay; ids decide how many segments are empty.
    expect(calls.length).toBeGreaterThan(2 * made.length);
    expect(entryItems(cache)).toEqual(entryItems(inOneGo));
    const [recorded] = await cache.retention.listRuns('2026-07-01');
    expect(recorded).toMatchObject({
      isComplete: true,
      verdicts: run.verdicts,
      holdings: run.holdings,
      counts: run.counts,
    });
  });

  test('is taken up where it was, and begins anew when that is too long ago', async () => {
    const cache = memoryCache();
    await mixedCache(cache);
    const { run: first } = await evaluate(cache, {}, { pageSize: 1, deadline: 0 });

    const { run: second } = await evaluate(cache, {}, { pageSize: 1, deadline: 0 });
    const later = () => NOW + 2 * DAY;
    const { run: third } = await evaluate(cache, {}, { now: later });

    expect(second).toMatchObject({ runId: first.runId, startedAt: first.startedAt });
    expect(third.runId).not.toBe(first.runId);
    expect(third).toMatchObject({ startedAt: new Date(later()).toISOString(), isComplete: true });
  });

  test('told to stop it stops', async () => {
    const cache = memoryCache();
    await mixedCache(cache);

    const { run } = await evaluate(cache, {}, { pageSize: 1, signal: AbortSignal.abort() });

    expect(run.isComplete).toBe(false);
  });

  test.each(['before', 'after'] as const)(
    'killed %s any of its calls it is ended by the next, with the same entries gone',
    async (when) => {
      const template = memoryCache();
      await mixedCache(template, 1);
      const settings = { budgetUsd: 0.005 };
      const options = { pageSize: 1, pagesPerCheckpoint: 1 };
      const whole = memoryCache(template.dynamo.fork());
      await evaluate(whole, settings, options);
      const expected = entryItems(whole);

      for (let call = 1; ; call++) {
        const cache = memoryCache(template.dynamo.fork());
        const isDone = await survives(
          evictionPass(killedAt(cache, call, when), settings, { ...options, holder: 'killed' }),
        );

        await evaluate(cache, settings, { ...options, holder: 'killed' });

        expect(entryItems(cache)).toEqual(expected);
        const runs = await cache.retention.listRuns('2026-07-01');
        for (const run of runs) {
          expect(run).toMatchObject({ isComplete: true });
          expect(run.holdings!.entries).toBe(readyItems(cache));
        }
        if (isDone) {
          expect(call).toBeGreaterThan(60);
          return;
        }
      }
    },
  );

  test('of two at once one works; a turn that nobody gave back ends by itself', async () => {
    const cache = memoryCache();
    await mixedCache(cache);
    await cache.retention.acquireLease('somebody', NOW, NOW + 60_000);

    const during = await evictionPass(cache);
    const after = await evictionPass(cache, {}, { now: () => NOW + 60_001 });
    const both = await Promise.all([evictionPass(cache), evictionPass(cache)]);

    expect(during).toEqual({ outcome: 'busy' });
    expect(after.outcome).toBe('completed');
    expect(both.map(({ outcome }) => outcome).sort()).toEqual(['busy', 'completed']);
  });

  test('whose turn another one took writes nothing down any more', async () => {
    const cache = memoryCache();
    await mixedCache(cache);
    const slow = beforeFirst(cache, 'listCandidates', async () => {
      await cache.retention.releaseLease('slow');
      await evaluate(cache, {}, { holder: 'fast' });
      await cache.retention.acquireLease('fast', NOW, NOW + 60_000);
    });

    const late = evictionPass(slow, {}, { holder: 'slow' });

    await expect(late).rejects.toMatchObject({ code: 'condition_failed' });
    expect(await cache.retention.listRuns('2026-07-01')).toHaveLength(1);
  });
});

describe('when the cache is weighed', () => {
  const at = (days: number) => ({ isForced: false, now: () => NOW + days * DAY });

  test('once a day where that costs little beside the rent', async () => {
    const cache = memoryCache();
    for (let index = 0; index < 20; index++) await add(cache, { latentBytes: 10_000_000_000 });

    const outcomes = [];
    for (const days of [0, 0.5, 1, 1.04]) outcomes.push(await evictionPass(cache, {}, at(days)));

    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      'completed',
      'not-due',
      'completed',
      'not-due',
    ]);
    expect(outcomes[1]).toEqual({
      outcome: 'not-due',
      nextAt: new Date(NOW + DAY - 600_000).toISOString(),
    });
  });

  test('more rarely where it would cost more than a twentieth of the rent', async () => {
    const cache = memoryCache();
    await add(cache, { latentBytes: 1000 });

    const outcomes = [];
    for (const days of [0, 1, 29, 30]) outcomes.push(await evictionPass(cache, {}, at(days)));

    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      'completed',
      'not-due',
      'not-due',
      'completed',
    ]);
  });

  test('at once where a pass was begun', async () => {
    const cache = memoryCache();
    await mixedCache(cache);
    await evaluate(cache, {}, { pageSize: 1, deadline: 0 });

    expect(await evictionPass(cache, {}, at(0.01))).toMatchObject({ run: { isComplete: true } });
  });
});

describe('on the embedded cloud’s table', () => {
  let server: TableServer;
  beforeAll(async () => {
    server = await startTableServer();
  });
  afterAll(() => server.close());

  test('an evicted entry leaves the vector index, and after the grace period its latent goes', async () => {
    const cache: Stores = {
      table: server.table,
      retention: new DynamoRetentionTable(server.connection),
      objects: new MemoryObjects(),
      vectors: new MemoryVectors(),
    };
    const made = await mixedCache(cache, 6);
    const leaving = made.filter(({ fate }) => fate === 'rent').map(({ entry }) => entry);
    const options = { isForced: true, holder: 'a', pageSize: 2 };

    const first = await evict(cache, SETTINGS, { ...options, now: () => NOW });
    const listed = new Set(await collect(cache.vectors.list()));
    const second = await evict(cache, SETTINGS, { ...options, now: () => NOW + 3_600_000 });

    expect(first.evictionPass).toMatchObject({ run: { verdicts: { rent: { count: 6 } } } });
    expect(first.finishing).toMatchObject({ waiting: 6, latentsDeleted: 0 });
    expect(second.finishing).toMatchObject({ waiting: 0, latentsDeleted: 6 });
    for (const { entryId, latentKey } of leaving) {
      expect(listed).not.toContain(entryId);
      expect(await cache.objects.head(latentKey)).toBeNull();
      expect(await cache.table.getEntry(entryId)).toMatchObject({
        state: 'TOMBSTONE',
        evictionReason: 'rent',
      });
    }
    expect(listed.size).toBe(made.length - leaving.length);
  });
});

/** The records of entries, as they are stored. */
function entryItems({ dynamo }: { dynamo: { items: Record<string, unknown>[] } }) {
  return dynamo.items.filter((item) => 'segment' in item);
}

function readyItems(cache: Parameters<typeof entryItems>[0]): number {
  return entryItems(cache).filter((item) => (item['state'] as { S: string }).S === 'READY').length;
}

/** The stores on which something happens right before the first call of one of the table's methods. */
function beforeFirst(
  stores: Stores,
  method: 'moveEntry' | 'listCandidates',
  happen: () => Promise<void>,
): Stores {
  let happened: Promise<void> | undefined;
  const table = new Proxy(stores.table, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return async (...given: unknown[]): Promise<unknown> => {
        if (name === method) await (happened ??= happen());
        return Reflect.apply(value, target, given);
      };
    },
  });
  return { ...stores, table };
}
