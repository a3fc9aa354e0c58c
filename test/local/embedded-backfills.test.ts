import { describe, expect, it, onTestFinished } from 'vitest';
import type { Backfill, BackfillLine } from '#core/backfill.ts';
import { randomBackfillId } from '#core/identity.ts';
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
    const file = Array.from({ length: 200 }, (_, index) => poison[index + 1] ?? prompt(index + 1));

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
});
