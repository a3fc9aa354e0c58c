import { describe, expect, it, onTestFinished } from 'vitest';
import type { Backfill, BackfillLine } from '#core/requests/backfill.ts';
import { randomBackfillId } from '#core/requests/identity.ts';
import type { LineEnd } from '#local/embedded-backfills.ts';
import { openEmbeddedCloud, type EmbeddedCloud } from '#local/embedded-cloud.ts';
import { STANDARD_DEFAULTS } from '#readers/line-key.ts';
import { collect } from '../collect.ts';
import { FakeVideoModel } from '../denoiser/fakes.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { fakeModels } from './fake-models.ts';

async function open(folder: string, video = new FakeVideoModel()): Promise<EmbeddedCloud> {
  const cloud = await openEmbeddedCloud(
    { stateDirectory: folder, modelDirectory: 'nowhere' },
    {
      openModels: () => Promise.resolve(fakeModels(video)),
      retryPauses: { Prepare: 0, Submit: 0, Run: 0, Close: 0, CloseFailed: 0 },
    },
  );
  onTestFinished(() => cloud.close());
  return cloud;
}

async function create(
  cloud: EmbeddedCloud,
  lines: readonly string[],
  changes: Partial<Backfill> = {},
): Promise<string> {
  const backfillId = randomBackfillId();
  const inputKey = `uploads/local/${backfillId}.jsonl`;
  await cloud.objects.put(inputKey, Buffer.from(lines.join('\n')));
  const createdAt = new Date().toISOString();
  await cloud.services.backfills.createBackfill({
    backfillId,
    tenant: 'local',
    status: 'queued',
    inputKey,
    format: 'jsonl',
    defaults: { ...STANDARD_DEFAULTS, steps: 2 },
    concurrency: 2,
    toleratedFailurePercentage: 100,
    webhook: null,
    metadata: {},
    modelRevision: cloud.modelRevision,
    createdAt,
    updatedAt: createdAt,
    cancelRequested: false,
    ...changes,
  });
  return backfillId;
}

async function run(cloud: EmbeddedCloud, backfillId: string): Promise<Backfill> {
  await cloud.backfills.start(backfillId);
  return cloud.backfills.finished(backfillId);
}

function linesOf(cloud: EmbeddedCloud, backfillId: string): Promise<BackfillLine[]> {
  return collect(cloud.services.backfills.listLines(backfillId));
}

async function readJson<Content>(cloud: EmbeddedCloud, key: string): Promise<Content> {
  return JSON.parse(Buffer.from(await cloud.objects.get(key)).toString()) as Content;
}

interface Manifest {
  DestinationBucket: string;
  MapRunArn: string;
  ResultFiles: Record<'SUCCEEDED' | 'FAILED' | 'PENDING', { Key: string; Size: number }[]>;
}

interface Child {
  Name: string;
  Status: string;
  Input: string;
  Output?: string;
  Error?: string;
  Cause?: string;
}

const prompt = (index: number): string => JSON.stringify({ prompt: `a red ball number ${index}` });

describe('an embedded backfill', () => {
  it('makes 195 videos of 200 lines, explains the five poisoned ones, and repeats nothing', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    const poison: Record<number, string> = {
      17: 'not JSON',
      60: '{"prompt": ""}',
      100: '{"prompt": "a star", "seed": -1}',
      150: '{"seed": 4}',
      200: '{"prompt": "a star", "cache": "sometimes"}',
    };
    // Repeats are answered by the first of their kind: other videos, at little expense.
    const request = (line: number): string =>
      JSON.stringify({ prompt: `a red ball number ${line % 40}`, seed: 1 });
    const file = Array.from({ length: 200 }, (_, index) => poison[index + 1] ?? request(index + 1));

    // Act
    const first = await create(cloud, file, { concurrency: 4 });
    const made = await run(cloud, first);
    const lines = await linesOf(cloud, first);
    const entries = await collect(cloud.table.scanEntries());
    const again = await create(cloud, file, { concurrency: 4 });
    const repeated = await run(cloud, again);
    const linesAgain = await linesOf(cloud, again);

    // Assess
    expect(made).toMatchObject({ status: 'completed', lines: 200 });
    const completed = lines.filter(({ status }) => status === 'completed');
    const failed = lines.filter(({ status }) => status === 'failed');
    expect(completed.filter(({ hit }) => hit === 'exact').length).toBeGreaterThan(100);
    expect(completed).toHaveLength(195);
    expect(new Set(completed.map(({ videoId }) => videoId)).size).toBe(195);
    expect(failed.map(({ line, error }) => [line, error?.code, error?.message])).toEqual([
      [17, 'invalid_input', 'the line is not JSON: write {"prompt": "..."}'],
      [60, 'prompt_empty', expect.stringContaining('empty')],
      [100, 'invalid_input', expect.stringContaining('seed -1')],
      [150, 'invalid_input', 'prompt is missing: give every line a prompt'],
      [200, 'invalid_input', expect.stringContaining('"sometimes"')],
    ]);

    const manifest = await readJson<Manifest>(cloud, made.manifestKey!);
    const { SUCCEEDED: successes, FAILED: failures, PENDING: pending } = manifest.ResultFiles;
    expect([successes.length, failures.length, pending.length]).toEqual([1, 1, 0]);
    const succeeded = await readJson<Child[]>(cloud, successes[0]!.Key);
    const broken = await readJson<Child[]>(cloud, failures[0]!.Key);
    expect(succeeded.map(({ Output: output }) => JSON.parse(output!).videoId).sort()).toEqual(
      completed.map(({ videoId }) => videoId).sort(),
    );
    expect(broken.map(({ Status: status, Error: error }) => [status, error])).toEqual([
      ['FAILED', 'invalid_input'],
      ['FAILED', 'prompt_empty'],
      ['FAILED', 'invalid_input'],
      ['FAILED', 'invalid_input'],
      ['FAILED', 'invalid_input'],
    ]);
    expect((await cloud.objects.head(successes[0]!.Key))!.bytes).toBe(successes[0]!.Size);

    expect(repeated.status).toBe('completed');
    expect(linesAgain.filter(({ alreadyThere }) => alreadyThere)).toHaveLength(195);
    expect(linesAgain.filter(({ status }) => status === 'failed')).toHaveLength(5);
    expect(linesAgain.map(({ videoId }) => videoId)).toEqual(lines.map(({ videoId }) => videoId));
    expect(await collect(cloud.table.scanEntries())).toEqual(entries);
  }, 240_000);

  it('says of a line whose video failed why, in the words of the video', async () => {
    // Prepare
    const video = new FakeVideoModel();
    video.beforeStep = () => {
      throw new Error('the device fell off the bus');
    };
    const cloud = await open(await temporaryFolder(), video);
    const backfillId = await create(cloud, [prompt(1)]);
    const told: LineEnd[] = [];
    cloud.backfills.onLine(backfillId, (end) => told.push(end));

    // Act
    const ended = await run(cloud, backfillId);

    // Assess
    const error = { code: 'internal', message: 'the device fell off the bus' };
    expect(ended.status).toBe('completed');
    expect(told).toMatchObject([{ item: { line: 1 }, error }]);
    expect(await linesOf(cloud, backfillId)).toMatchObject([
      { line: 1, status: 'failed', videoId: expect.stringMatching(/^vid_/), error },
    ]);
    const manifest = await readJson<Manifest>(cloud, ended.manifestKey!);
    const [failed] = await readJson<Child[]>(cloud, manifest.ResultFiles.FAILED[0]!.Key);
    expect(failed).toMatchObject({ Status: 'FAILED', Error: 'internal', Cause: error.message });
  });

  it('makes a failed video when the file is run again', async () => {
    // Prepare
    const video = new FakeVideoModel();
    video.beforeStep = () => {
      throw new Error('the device fell off the bus');
    };
    const cloud = await open(await temporaryFolder(), video);
    const file = [prompt(1)];
    const failed = await create(cloud, file);
    await run(cloud, failed);
    video.beforeStep = () => {};

    // Act
    const again = await create(cloud, file);
    await run(cloud, again);

    // Assess
    expect(await linesOf(cloud, again)).toMatchObject([{ status: 'completed' }]);
    expect(await linesOf(cloud, failed)).toMatchObject([{ status: 'failed' }]);
  });

  it('ends when more lines have failed than are tolerated', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    const file = [...Array.from({ length: 5 }, () => 'nonsense'), ...[1, 2, 3, 4, 5].map(prompt)];
    const backfillId = await create(cloud, file, {
      toleratedFailurePercentage: 20,
      concurrency: 1,
    });

    // Act
    const ended = await run(cloud, backfillId);

    // Assess
    expect(ended).toMatchObject({
      status: 'failed',
      error: { code: 'workflow_failed', message: expect.stringContaining('more than 20 %') },
      manifestKey: expect.stringContaining('/manifest.json'),
    });
    expect(await linesOf(cloud, backfillId)).toHaveLength(3);
  });

  it('stops: no further line begins, and the video in progress is cancelled', async () => {
    // Prepare
    const video = new FakeVideoModel();
    const cloud = await open(await temporaryFolder(), video);
    const backfillId = await create(cloud, [1, 2, 3, 4].map(prompt), {
      concurrency: 1,
      defaults: { ...STANDARD_DEFAULTS, steps: 40 },
    });
    const began = Promise.withResolvers<void>();
    video.beforeStep = () => {
      began.resolve();
      return new Promise((resolve) => setTimeout(resolve, 10));
    };
    await cloud.backfills.start(backfillId);
    await began.promise;

    // Act
    await cloud.backfills.stop(backfillId);
    const ended = await cloud.backfills.finished(backfillId);

    // Assess
    expect(ended).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    expect(video.times.length).toBeLessThan(40);
    expect(await linesOf(cloud, backfillId)).toMatchObject([{ line: 1, status: 'cancelled' }]);
    expect(await collect(cloud.table.scanEntries())).toEqual([]);
  });

  it('drains: the video in progress is finished, and no further line begins', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    const backfillId = await create(cloud, [1, 2, 3].map(prompt), { concurrency: 1 });
    cloud.backfills.onLine(backfillId, () => void cloud.backfills.drain(backfillId));

    // Act
    const ended = await run(cloud, backfillId);

    // Assess
    expect(ended.status).toBe('cancelled');
    expect(await linesOf(cloud, backfillId)).toMatchObject([{ line: 1, status: 'completed' }]);
  });

  it('goes on with what is missing when its process ended in the middle', async () => {
    // Prepare
    const folder = await temporaryFolder();
    const video = new FakeVideoModel();
    const before = await open(folder, video);
    const several = JSON.stringify({ prompt: 'a red ball', seed: 7, n: 2 });
    const lines = [prompt(1), several, prompt(3), 'nonsense'];
    const backfillId = await create(before, lines, { concurrency: 1 });
    const second = Promise.withResolvers<void>();
    before.backfills.onLine(backfillId, () => second.resolve());
    await before.backfills.start(backfillId);
    await second.promise;
    await before.close();
    const evaluations = video.times.length;

    // Act
    const after = await open(folder, video);
    const left = await after.services.backfills.getBackfill(backfillId);
    await after.resumeUnfinished();
    const ended = await after.backfills.finished(backfillId);

    // Assess
    expect(left!.status).toBe('running');
    expect(ended).toMatchObject({ status: 'completed', lines: 5 });
    const made = await linesOf(after, backfillId);
    expect(made).toMatchObject([
      { line: 1, status: 'completed', alreadyThere: false },
      { line: 2, status: 'completed', alreadyThere: false },
      { line: 2, video: 2, status: 'completed', alreadyThere: false },
      { line: 3, status: 'completed', alreadyThere: false },
      { line: 4, status: 'failed' },
    ]);
    const jobs = await Promise.all(
      made.slice(1, 3).map((line) => after.table.getJob(line.videoId!)),
    );
    expect(jobs.map((job) => job?.seed)).toEqual([7, 8]);
    // The first line's two steps are not run again.
    expect(evaluations).toBeGreaterThanOrEqual(2);
    expect(video.times.length).toBeLessThanOrEqual(evaluations + 3 * 2);
  });

  it('ends one that a process before left, when it is stopped and not gone on with', async () => {
    // Prepare
    const folder = await temporaryFolder();
    const before = await open(folder);
    const backfillId = await create(before, [prompt(1)]);
    await before.services.backfills.updateBackfill(backfillId, { status: 'running' });
    await before.close();
    const after = await open(folder);

    // Act
    await after.backfills.stop(backfillId);

    // Assess
    expect(await after.backfills.finished(backfillId)).toMatchObject({ status: 'cancelled' });
  });

  it('completes a file without a request at once, and fails one that cannot be read', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    const empty = await create(cloud, ['', '']);
    const broken = await create(cloud, ['seed', '1'], { format: 'csv' });

    // Assess
    expect(await run(cloud, empty)).toMatchObject({ status: 'completed', lines: 0 });
    expect(await run(cloud, broken)).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_input', message: expect.stringContaining('no column "prompt"') },
    });
  });

  it('does nothing when it is started twice, or after its end', async () => {
    // Prepare
    const video = new FakeVideoModel();
    const cloud = await open(await temporaryFolder(), video);
    const backfillId = await create(cloud, [prompt(1)]);

    // Act
    await Promise.all([cloud.backfills.start(backfillId), cloud.backfills.start(backfillId)]);
    const ended = await cloud.backfills.finished(backfillId);
    await cloud.backfills.start(backfillId);

    // Assess
    expect(await cloud.backfills.finished(backfillId)).toEqual(ended);
    expect(video.times).toHaveLength(2);
  });
});
