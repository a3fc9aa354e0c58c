import { setImmediate as nextTick, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dayAt } from '#core/day.ts';
import { EVICTION_GRACE_MILLISECONDS, TOMBSTONE_MILLISECONDS } from '#core/retention/retention.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { checkState, openState } from '#local/check-state.ts';
import { openEmbeddedCloud, type EmbeddedCloud } from '#local/embedded-cloud.ts';
import { openRetention } from '#local/open-retention.ts';
import { collect } from '../collect.ts';
import { FakeVideoModel } from '../denoiser/fakes.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { fakeModels } from './fake-models.ts';

const DAY = 24 * 3_600_000;
/** After so long a cache of videos that took milliseconds pays no rent any more. */
const FOREVER = 9 * 365 * DAY;
const DIMENSIONS = 8;

/** A clock that can be set ahead. */
class Clock {
  ahead = 0;
  readonly now = (): number => Date.now() + this.ahead;
}

async function open(
  stateDirectory: string,
  clock = new Clock(),
  cacheBudgetUsd: number | null = null,
): Promise<EmbeddedCloud> {
  const cloud = await openEmbeddedCloud(
    { stateDirectory, modelDirectory: 'nowhere', cacheBudgetUsd },
    {
      openModels: () => Promise.resolve(fakeModels(slowModel())),
      worker: { progressMilliseconds: 0 },
      now: clock.now,
    },
  );
  onTestFinished(() => cloud.close());
  return cloud;
}

/** What it makes is worth keeping for a while. */
function slowModel(): FakeVideoModel {
  const model = new FakeVideoModel();
  model.beforeStep = () => sleep(1);
  return model;
}

async function makeVideos(cloud: EmbeddedCloud, count: number) {
  const jobs = [];
  for (let seed = 1; seed <= count; seed++) {
    jobs.push(await cloud.generate({ prompt: `${'very '.repeat(seed)}red ball`, seed }));
  }
  return jobs;
}

async function statesOf(cloud: Pick<EmbeddedCloud, 'table'>): Promise<Record<string, number>> {
  const states: Record<string, number> = {};
  for await (const { state } of cloud.table.scanEntries()) states[state] = (states[state] ?? 0) + 1;
  return states;
}

describe('passes over the embedded cache', () => {
  test('what pays no rent leaves step by step; its video stays, and is made anew when asked for', async () => {
    const clock = new Clock();
    const cloud = await open(await temporaryFolder(), clock);
    const jobs = await makeVideos(cloud, 3);
    const pinned = jobs[0]!.videoId;
    const latents = (await collect(cloud.table.scanEntries()))
      .filter(({ entryId }) => entryId !== pinned)
      .map(({ latentKey }) => latentKey);
    await cloud.table.pinEntry(pinned, true);

    const fresh = await cloud.retention.evict({ isForced: true });
    clock.ahead = FOREVER;
    const dryRun = await cloud.retention.evict({ isForced: true, isDryRun: true });
    const untouched = await statesOf(cloud);
    const first = await cloud.retention.evict();
    const second = await cloud.retention.evict({ isForced: true });
    clock.ahead += EVICTION_GRACE_MILLISECONDS;
    const latentsDeleted = await cloud.retention.evict();
    clock.ahead += TOMBSTONE_MILLISECONDS;
    const recordsDeleted = await cloud.retention.evict({ isForced: true });

    expect(fresh.evictionPass).toMatchObject({ run: { verdicts: { keep: { count: 2 } } } });
    for (const { evictionPass } of [dryRun, first]) {
      expect(evictionPass).toMatchObject({
        run: { isComplete: true, verdicts: { pinned: { count: 1 }, rent: { count: 2 } } },
      });
    }
    expect(untouched).toEqual({ READY: 3 });
    expect(first.finishing).toMatchObject({ waiting: 2, latentsDeleted: 0 });
    expect(second).toMatchObject({
      evictionPass: { run: { verdicts: { pinned: { count: 1 } } } },
      finishing: { waiting: 2, latentsDeleted: 0 },
    });
    expect(latentsDeleted).toMatchObject({
      evictionPass: { outcome: 'not-due' },
      finishing: { latentsDeleted: 2, recordsDeleted: 0 },
    });
    expect(recordsDeleted.finishing).toMatchObject({ latentsDeleted: 0, recordsDeleted: 2 });
    expect(await collect(cloud.vectors.list())).toEqual([pinned]);
    for (const key of latents) expect(await cloud.objects.head(key)).toBeNull();
    for (const { result } of jobs) {
      expect((await cloud.objects.get(result!.videoKey)).byteLength).toBe(result!.videoBytes);
    }
    const { prompt, seed } = jobs[1]!;
    const again = await cloud.generate({ prompt, seed });
    expect(again).toMatchObject({ status: 'completed', result: { hit: 'miss' } });
  });

  test('a monthly budget keeps what pays most for each dollar, and no more than it buys', async () => {
    const cloud = await open(await temporaryFolder());
    await makeVideos(cloud, 4);
    const whole = await cloud.retention.evict({ isForced: true, isDryRun: true });
    if (whole.evictionPass.outcome !== 'completed') throw new Error('the pass did not complete');
    const budgetUsd = whole.evictionPass.rentPerMonthUsd / 2;

    const { evictionPass } = await cloud.retention.evict({ isForced: true, budgetUsd });

    expect(evictionPass).toMatchObject({ outcome: 'completed', run: { isComplete: true } });
    const { run, rentPerMonthUsd } = evictionPass as Extract<typeof evictionPass, { run: unknown }>;
    expect(run.verdicts?.budget?.count).toBeGreaterThanOrEqual(2);
    expect(run.verdicts?.keep?.count).toBeGreaterThanOrEqual(1);
    expect(rentPerMonthUsd).toBeLessThanOrEqual(budgetUsd);
    expect(await statesOf(cloud)).toEqual({
      READY: run.verdicts!.keep!.count,
      EVICTING: run.verdicts!.budget!.count,
    });
    await expect(cloud.retention.evict({ budgetUsd: -1 })).rejects.toMatchObject({
      code: 'invalid_input',
      field: 'budget',
    });
  });

  test('another process asks the one that holds the state folder', async () => {
    const folder = await temporaryFolder();
    const clock = new Clock();
    const cloud = await open(folder, clock);
    await makeVideos(cloud, 2);
    clock.ahead = FOREVER;

    {
      await using other = await openRetention({ stateDirectory: folder, dimensions: DIMENSIONS });
      const { evictionPass } = await other.evict({ isForced: true });
      const swept = await other.sweep({ isDryRun: true });

      expect(evictionPass).toMatchObject({ outcome: 'completed', run: { verdicts: { rent: {} } } });
      expect(swept).toMatchObject({ isDryRun: true, isComplete: true, entriesChecked: 2 });
      expect(await collect(cloud.vectors.list())).toEqual([]);
      await expect(other.evict({ budgetUsd: 0 })).rejects.toMatchObject({ code: 'invalid_input' });
      await cloud.close();
      await expect(other.evict({})).rejects.toMatchObject({ code: 'state_locked' });
    }

    await using later = await openRetention({ stateDirectory: folder, dimensions: DIMENSIONS });
    expect((await later.evict({})).finishing).toMatchObject({ waiting: 2 });
  });

  test('the end of the cloud ends the pass, and the next process goes on with it', async () => {
    const folder = await temporaryFolder();
    const clock = new Clock();
    const cloud = await open(folder, clock);
    await makeVideos(cloud, 2);
    clock.ahead = FOREVER;

    const stopped = cloud.retention.evict({ isForced: true });
    const swept = cloud.retention.sweep().catch((error: unknown) => error);
    await nextTick();
    await cloud.close();

    const { evictionPass } = await stopped;
    expect(evictionPass).toMatchObject({ outcome: 'completed', run: { isComplete: false } });
    expect(await swept).toMatchObject({ code: 'cancelled' });
    await expect(cloud.retention.evict()).rejects.toMatchObject({ code: 'cancelled' });
    const after = await open(folder, clock);
    const resumed = await after.retention.evict();
    expect(resumed.evictionPass).toMatchObject({
      run: { runId: (evictionPass as { run: { runId: string } }).run.runId, isComplete: true },
    });
    expect(await statesOf(after)).toEqual({ EVICTING: 2 });
  });

  test('on schedule it evicts and sweeps at once, then at its times, while videos are made', async () => {
    const folder = await temporaryFolder();
    const clock = new Clock();
    const cloud = await open(folder, clock);
    const [job] = await makeVideos(cloud, 1);
    const entry = (await cloud.table.getEntry(job!.videoId))!;
    clock.ahead = FOREVER;
    const events: TelemetryEvent[] = [];

    const firstDay = dayAt(clock.now());

    cloud.retention.schedule({ evict: 20, sweep: 20 }, (event) => void events.push(event));
    await until(async () => (await statesOf(cloud))['EVICTING'] === 1);
    clock.ahead += EVICTION_GRACE_MILLISECONDS;
    await until(async () => (await statesOf(cloud))['TOMBSTONE'] === 1);
    const made = await cloud.generate({ prompt: 'a blue cube', seed: 1 });
    await cloud.close();

    expect(made.status).toBe('completed');
    expect(events).toEqual([]);
    await using state = await openState(folder);
    expect(await state.objects.head(entry.latentKey)).toBeNull();
    const { findings } = await checkState(state);
    expect(findings.filter(({ severity }) => severity === 'problem')).toEqual([]);
    // A day may end while the test runs.
    const days = new Set([firstDay, dayAt(clock.now())]);
    const runs = await Promise.all([...days].map((day) => state.retention.listRuns(day)));
    const kinds = runs.flat().map(({ kind }) => kind);
    expect(kinds).toContain('evict');
    expect(kinds).toContain('sweep');
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(10);
}
