import { describe, expect, test } from 'vitest';
import type { Entry, Job } from '#core/generation.ts';
import { checkpointObjectKey, imageObjectKey } from '#core/requests/identity.ts';
import { createSweepHandler } from '#functions/sweep/handler.ts';
import { recordedSweep } from '#retention/sweep/recorded-sweep.ts';
import { EVERYTHING, isIn, split } from '#retention/sweep/shares.ts';
import { sweep, type SweepSummary } from '#retention/sweep/sweep.ts';
import type { Telemetry } from '#functions/shared/telemetry.ts';
import { sampleJob, sampleResult, unique } from '../aws/samples.ts';
import {
  HOUR,
  isIndexed,
  killedAt,
  LATENT_BYTES,
  storeEntry,
  survives,
  useStores,
  type Stores,
} from './retention-fixture.ts';

const stores = useStores();
/** When what a test has just written is a day old. */
const tomorrow = () => Date.now() + 25 * HOUR;

const CLEAN: Partial<SweepSummary> = {
  isComplete: true,
  orphanedObjects: 0,
  orphanedBytes: 0,
  orphanedVectors: 0,
  restoredVectors: 0,
  entriesWithoutLatent: 0,
  entriesOfDeletedVideos: 0,
};

function orphans(count: number): Partial<SweepSummary> {
  return { orphanedObjects: count, orphanedBytes: count * LATENT_BYTES };
}

async function exists(key: string): Promise<boolean> {
  return (await stores().objects.head(key)) !== null;
}

async function putObject(key: string): Promise<string> {
  await stores().objects.put(key, new Uint8Array(LATENT_BYTES));
  return key;
}

/** A completed job with its video's objects. */
async function storeVideo(
  changes: Partial<Job> = {},
): Promise<{ videoId: string; videoKey: string; keys: string[] }> {
  const videoId = unique('vid_');
  const stem = `videos/${videoId}/1`;
  const named = {
    videoKey: `${stem}.mp4`,
    posterKey: `${stem}.png`,
    animationKey: `${stem}.webp`,
    spritesheetKey: `${stem}.jpg`,
  };
  const keys = Object.values(named);
  for (const key of keys) await putObject(key);
  await stores().table.createJob(
    sampleJob({ videoId, status: 'completed', result: sampleResult(named), ...changes }),
  );
  return { videoId, videoKey: named.videoKey, keys };
}

describe('sweep', () => {
  test('a cache that is whole stays as it is', async () => {
    const entry = await storeEntry(stores());
    const leaving = await storeEntry(stores(), { vectors: true });
    await stores().table.moveEntry(leaving.entryId, 'READY', 'EVICTING', tomorrow());
    const video = await storeVideo();

    const summary = await sweep(stores(), { now: tomorrow });

    expect(summary).toMatchObject(CLEAN);
    expect(summary.entriesChecked).toBe(2);
    expect(summary.objectsChecked).toBe(2 + video.keys.length);
    expect(await exists(entry.latentKey)).toBe(true);
    expect(await exists(leaving.latentKey)).toBe(true);
    expect(await exists(video.videoKey)).toBe(true);
  });

  test('latents without a record go when they are a day old, and not before', async () => {
    const { latentKey } = await storeEntry(stores(), { record: true, vectors: true });

    const today = await sweep(stores());
    const stayed = await exists(latentKey);
    const later = await sweep(stores(), { now: tomorrow });

    expect(today).toMatchObject(CLEAN);
    expect(stayed).toBe(true);
    expect(later).toMatchObject({ ...CLEAN, ...orphans(1) });
    expect(await exists(latentKey)).toBe(false);
  });

  test('an older latent of the same entry goes, the one it names stays', async () => {
    const { entryId, latentKey } = await storeEntry(stores());
    const other = await putObject(`latents/${entryId}/other.fcl`);

    const summary = await sweep(stores(), { now: tomorrow });

    expect(summary).toMatchObject({ ...CLEAN, ...orphans(1) });
    expect(await exists(other)).toBe(false);
    expect(await exists(latentKey)).toBe(true);
  });

  test('a latent of a job that is under way stays, however old', async () => {
    const { entryId, latentKey } = await storeEntry(stores(), { record: true, vectors: true });
    await stores().table.createJob(sampleJob({ videoId: entryId, status: 'queued' }));

    const summary = await sweep(stores(), { now: tomorrow });

    expect(summary).toMatchObject(CLEAN);
    expect(await exists(latentKey)).toBe(true);
    await stores().objects.delete(latentKey);
  });

  test('vectors without an entry go, those of a leaving entry too', async () => {
    const { entryId } = await storeEntry(stores(), { record: true, latent: true });
    const leaving = await storeEntry(stores());
    await stores().table.moveEntry(leaving.entryId, 'READY', 'EVICTING', tomorrow());

    const summary = await sweep(stores(), { now: tomorrow });

    expect(summary).toMatchObject({ ...CLEAN, orphanedVectors: 2 });
    expect(await isIndexed(stores(), entryId)).toBe(false);
    expect(await isIndexed(stores(), leaving.entryId)).toBe(false);
  });

  test('vectors that an entry lacks are put again', async () => {
    const entry = await storeEntry(stores(), { vectors: true });

    const summary = await sweep(stores(), { now: tomorrow });

    expect(summary).toMatchObject({ ...CLEAN, restoredVectors: 1 });
    const [match] = await stores().vectors.query(
      { ...entry, part: 'whole' },
      entry.vectors.whole,
      1000,
    );
    expect(match!.similarity).toBeCloseTo(1);
    expect(await isIndexed(stores(), entry.entryId)).toBe(true);
  });

  test('an entry whose latent is missing is moved out', async () => {
    const entry = await storeEntry(stores(), { latent: true });

    const summary = await sweep(stores(), { now: tomorrow });

    expect(summary).toMatchObject({ ...CLEAN, entriesWithoutLatent: 1 });
    expect(await stores().table.getEntry(entry.entryId)).toMatchObject({ state: 'EVICTING' });
    expect(await isIndexed(stores(), entry.entryId)).toBe(false);
  });

  test('an entry that is leased is not moved out under its holder', async () => {
    const { entryId } = await storeEntry(stores(), { latent: true, vectors: true });
    const leaseUntil = tomorrow() + HOUR;
    await stores().table.leaseEntry({ entryId, holder: 'a', now: Date.now(), leaseUntil });

    const held = await sweep(stores(), { now: tomorrow });
    await stores().table.releaseEntry(entryId, 'a');
    const released = await sweep(stores(), { now: tomorrow });

    expect(held).toMatchObject(CLEAN);
    expect(released).toMatchObject({ ...CLEAN, entriesWithoutLatent: 1 });
  });

  test('the video of a deleted job goes, unless another job was answered with it', async () => {
    const deleted = await storeVideo();
    const shared = await storeVideo();
    await stores().table.deleteJob(deleted.videoId);
    await stores().table.deleteJob(shared.videoId);
    await stores().table.createJob(
      sampleJob({
        status: 'completed',
        result: sampleResult({ hit: 'exact', videoKey: shared.videoKey }),
      }),
    );

    const summary = await sweep(stores(), { now: tomorrow });

    // Of the shared video the exact hit names the MP4 alone here.
    expect(summary).toMatchObject({ ...CLEAN, ...orphans(4 + 3) });
    for (const key of deleted.keys) expect(await exists(key)).toBe(false);
    expect(await exists(shared.videoKey)).toBe(true);
  });

  test('an entry that came into the cache behind the deletion of its video leaves it', async () => {
    const { videoId, videoKey } = await storeVideo();
    await stores().table.deleteJob(videoId);
    await storeEntry(stores(), {}, { entryId: videoId, videoKey });

    const dry = await sweep(stores(), { now: tomorrow, isDryRun: true });
    const summary = await sweep(stores(), { now: tomorrow });

    expect(dry).toMatchObject({ entriesOfDeletedVideos: 1 });
    expect(summary).toMatchObject({ entriesOfDeletedVideos: 1 });
    expect(await stores().table.getEntry(videoId)).toMatchObject({ state: 'EVICTING' });
    expect(await isIndexed(stores(), videoId)).toBe(false);
    expect(await exists(videoKey)).toBe(true);
  });

  test('the video of a failed job goes, that of one under way and that of an entry stay', async () => {
    const failed = await putObject(`videos/${unique('vid_')}/1.mp4`);
    await stores().table.createJob(sampleJob({ videoId: failed.split('/')[1]!, status: 'failed' }));
    const running = await putObject(`videos/${unique('vid_')}/1.mp4`);
    await stores().table.createJob(
      sampleJob({ videoId: running.split('/')[1]!, status: 'running' }),
    );
    const entry = await storeEntry(stores());
    await putObject(entry.videoKey);

    const summary = await sweep(stores(), { now: tomorrow });

    expect(summary).toMatchObject({ ...CLEAN, ...orphans(1) });
    expect(await exists(failed)).toBe(false);
    expect(await exists(running)).toBe(true);
    expect(await exists(entry.videoKey)).toBe(true);
  });

  test.each([
    ['checkpoints', checkpointObjectKey],
    ['first images', (videoId: string) => imageObjectKey(videoId, 'a'.repeat(64))],
  ])('%s go once no worker will read them', async (_, keyOf) => {
    const ended = await putObject(keyOf(unique('vid_')));
    const running = unique('vid_');
    const needed = await putObject(keyOf(running));
    await stores().table.createJob(sampleJob({ videoId: running, status: 'running' }));

    const summary = await sweep(stores(), { now: tomorrow });

    expect(summary).toMatchObject({ ...CLEAN, ...orphans(1) });
    expect(await exists(ended)).toBe(false);
    expect(await exists(needed)).toBe(true);
  });

  test('a dry run says what it would do and does nothing', async () => {
    const broken = await breakEverything(stores());

    const dry = await sweep(stores(), { now: tomorrow, isDryRun: true });
    const real = await sweep(stores(), { now: tomorrow });

    expect(dry).toEqual({ ...real, isDryRun: true });
    expect(real).toMatchObject(broken.expected);
  });

  test('with room for a single entry it finds the same, share by share', async () => {
    const broken = await breakEverything(stores());

    const summary = await sweep(stores(), { now: tomorrow, mostHeld: 1 });

    expect(summary).toMatchObject(broken.expected);
    expect(await sweep(stores(), { now: tomorrow })).toMatchObject(CLEAN);
  });

  test('what the deadline leaves over is found by the next run', async () => {
    await breakEverything(stores());
    let clock = tomorrow();
    const ticking = () => clock++;

    const first = await sweep(stores(), { now: ticking, deadline: clock + 10 });
    await sweep(stores(), { now: tomorrow });

    expect(first.isComplete).toBe(false);
    expect(await sweep(stores(), { now: tomorrow })).toMatchObject(CLEAN);
  });

  test.each(['before', 'after'] as const)(
    'killed %s any of its calls it is made good by the next run',
    async (when) => {
      for (let call = 1; ; call++) {
        const { whole, lost } = await breakEverything(stores());

        const isDone = await survives(sweep(killedAt(stores(), call, when), { now: tomorrow }));
        await sweep(stores(), { now: tomorrow });

        expect(await sweep(stores(), { now: tomorrow })).toMatchObject(CLEAN);
        for (const { entryId, latentKey } of whole) {
          expect(await stores().table.getEntry(entryId)).toMatchObject({ state: 'READY' });
          expect(await isIndexed(stores(), entryId)).toBe(true);
          expect(await exists(latentKey)).toBe(true);
        }
        for (const key of lost) expect(await exists(key)).toBe(false);
        if (isDone) return;
      }
    },
    120_000,
  );
});

/** One of each that a crash may leave behind, beside an entry that is whole. */
async function breakEverything(broken: Stores): Promise<{
  expected: Partial<SweepSummary>;
  /** Entries that must be READY with vectors and latent afterwards. */
  whole: Entry[];
  /** Objects that must be gone afterwards. */
  lost: string[];
}> {
  const whole = [await storeEntry(broken), await storeEntry(broken, { vectors: true })];
  const { latentKey } = await storeEntry(broken, { record: true, vectors: true });
  await storeEntry(broken, { record: true, latent: true });
  await storeEntry(broken, { latent: true });
  const video = await putObject(`videos/${unique('vid_')}/1.mp4`);
  const checkpoint = await putObject(checkpointObjectKey(unique('vid_')));
  return {
    expected: {
      isComplete: true,
      ...orphans(3),
      orphanedVectors: 1,
      restoredVectors: 1,
      entriesWithoutLatent: 1,
    },
    whole,
    lost: [latentKey, video, checkpoint],
  };
}

test('the function logs its summary and counts what it mended', async () => {
  await breakEverything(stores());
  const said: unknown[] = [];
  const telemetry: Telemetry = {
    log: (event) => void said.push(event),
    measure: (amounts) => void said.push(amounts),
  };

  // By the real clock no object is old enough.
  const summary = await createSweepHandler(
    stores(),
    telemetry,
  )({
    isDryRun: false,
    deadline: Infinity,
  });

  expect(summary).toMatchObject({ orphanedObjects: 0, orphanedVectors: 1, restoredVectors: 1 });
  expect(said).toEqual([{ level: 'info', event: 'swept', ...summary }, { orphans: 3 }]);
  const today = new Date().toISOString().slice(0, 10);
  const { isDryRun: _, isComplete, ...counts } = summary;
  expect((await stores().retention.listRuns(today)).at(-1)).toMatchObject({
    kind: 'sweep',
    isDryRun: false,
    isComplete,
    counts,
  });
  await sweep(stores(), { now: tomorrow });
});

test('a sweep that is told to stop begins nothing new, says so, and leaves a record', async () => {
  const lacking = await storeEntry(stores(), { vectors: true });
  const begun = Date.now();

  const summary = await recordedSweep(stores(), {
    now: () => begun,
    signal: AbortSignal.abort(),
  });
  const dryRun = await recordedSweep(stores(), { now: () => begun, isDryRun: true });

  expect(summary).toMatchObject({ isComplete: false, restoredVectors: 0 });
  expect(dryRun).toMatchObject({ isComplete: true, restoredVectors: 1 });
  const runs = await stores().retention.listRuns(new Date(begun).toISOString().slice(0, 10));
  const ours = runs.filter(({ startedAt }) => Date.parse(startedAt) === begun);
  expect(ours).toMatchObject([{ kind: 'sweep', isDryRun: false, isComplete: false }]);
  await sweep(stores());
  expect(await isIndexed(stores(), lacking.entryId)).toBe(true);
});

test('the halves of a share are all of it and have nothing in common', () => {
  const ids = Array.from({ length: 1000 }, () => unique('vid_'));
  const [even, odd] = split(EVERYTHING);
  const quarters = [...split(even), ...split(odd)];

  expect(ids.every((id) => isIn(EVERYTHING, id))).toBe(true);
  for (const id of ids) expect(quarters.filter((share) => isIn(share, id))).toHaveLength(1);
  for (const share of quarters) {
    expect(ids.filter((id) => isIn(share, id)).length).toBeGreaterThan(150);
  }
});
