import { describe, expect, test } from 'vitest';
import { exactKey, promptKey, videoIdForKey } from '#core/requests/identity.ts';
import { DEFAULT_PRICE_REGION, priceBookOf } from '#core/pricing/prices.ts';
import { BackfillTime } from '#functions/shared/backfill-time.ts';
import {
  createPredictHandler,
  MAX_LOOKED_AT,
  type PredictServices,
} from '#functions/predict/handler.ts';
import type { Prediction, PredictionQuestion } from '#functions/shared/prediction.ts';
import type { TextEmbedder } from '#models/model.ts';
import { LineKeys, STANDARD_DEFAULTS } from '#readers/line-key.ts';
import { SAMPLE_CAPABILITIES, sampleEntry, sampleJob, unique } from '../aws/samples.ts';
import { COMPATIBILITY_KEY, FakeVectors, halves, servicesOn, useTable } from './fixture.ts';

const table = useTable();

/** A direction of its own for each text. */
class DistinctEmbedder implements TextEmbedder {
  readonly #texts: string[] = [];

  async embedText(text: string) {
    if (!this.#texts.includes(text)) this.#texts.push(text);
    const vector = new Float32Array(64);
    vector[this.#texts.indexOf(text) % 64] = 1;
    return { vector, partLogits: { data: new Float32Array(0), shape: [0, 3] } };
  }

  async close(): Promise<void> {}
}

function services(vectors = new FakeVectors()): PredictServices {
  return {
    ...servicesOn(table(), vectors),
    tenants: { getSpending: async () => 0n },
    embedder: new DistinctEmbedder(),
    splitter: halves,
    uploads: {
      async *read() {
        yield Buffer.from('prompt,seed\na red ball,1\n,2\na blue star,x\n');
      },
    },
    modelRevision: 'revision',
    steps: 10,
    capabilities: SAMPLE_CAPABILITIES,
    prices: priceBookOf(DEFAULT_PRICE_REGION),
  };
}

function predict(
  prompts: PredictionQuestion['source'] | string[],
  changes: Partial<PredictionQuestion> = {},
  using = services(),
): Promise<Prediction> {
  const source = Array.isArray(prompts)
    ? { prompts: prompts.map((prompt) => ({ prompt })) }
    : prompts;
  return createPredictHandler(using)({
    tenant: unique('t').replaceAll('_', '-'),
    source,
    defaults: STANDARD_DEFAULTS,
    concurrency: FILLERS.length,
    budgetPerDay: null,
    ...changes,
  });
}

/** Lines far enough apart that the one before is there when the next is looked up. */
const FILLERS = Array.from({ length: 8 }, (_, index) => `thing ${index} over place ${index}`);

describe('predicting a backfill', () => {
  test('expects misses of an empty cache, at the price of full generations', async () => {
    const predicted = await predict(['a ball over a meadow', 'a star over the sea']);
    expect(predicted).toMatchObject({
      lines: 2,
      rejected: 0,
      alreadyThere: 0,
      lookedAt: 2,
      hits: { miss: 2, exact: 0, whole: 0 },
      stepsRun: 20,
      stepsFull: 20,
      measuredVideos: 0,
    });
    expect(predicted.cost).toBe(predicted.costWithoutCache);
    expect(BigInt(predicted.cost)).toBeGreaterThan(0n);
  });

  test('counts earlier lines as donors by their prompts: the same prompt, and its parts', async () => {
    const predicted = await predict([
      'a ball over a meadow',
      'a star over the sea',
      ...FILLERS.slice(2),
      'a ball over a meadow',
      'a ball over the sea',
    ]);
    expect(predicted.hits).toMatchObject({ miss: 8, whole: 1, 'object+background': 1 });
    expect(predicted.stepsRun).toBeLessThan(predicted.stepsFull);
    expect(BigInt(predicted.cost)).toBeLessThan(BigInt(predicted.costWithoutCache));
  });

  test('does not count lines as donors that leave nothing behind, nor reuse what is turned off', async () => {
    const prompts = ['a ball over a meadow', ...FILLERS.slice(1), 'a ball over a meadow'];
    for (const cache of ['readonly', 'off', 'refresh'] as const) {
      const { hits } = await predict(prompts, { defaults: { ...STANDARD_DEFAULTS, cache } });
      expect(hits.miss).toBe(prompts.length);
    }
  });

  test('finds exact answers in the cache without leasing them, and not those of others', async () => {
    const tenant = unique('t').replaceAll('_', '-');
    const prompt = unique('a ball ');
    const partition = { compatibilityKey: COMPATIBILITY_KEY, scope: 'tenant', tenant } as const;
    const key = { prompt, seed: 5, steps: 10, remixOf: null, ...partition };
    const entry = sampleEntry({
      entryId: unique('vid_'),
      ...partition,
      prompt,
      seed: 5,
      exactKey: exactKey(key),
      promptKey: promptKey(key),
    });
    await table().putEntry(entry);
    const source = { prompts: [{ prompt, seed: 5 }] };
    expect((await predict(source, { tenant })).hits.exact).toBe(1);
    expect((await predict(source)).hits.exact).toBe(0);
    expect(
      (await predict(source, { tenant, defaults: { ...STANDARD_DEFAULTS, scope: 'shared' } })).hits
        .exact,
    ).toBe(0);
    const stored = (await table().getEntry(entry.entryId))!;
    expect(stored.hits).toBe(entry.hits);
    expect(stored.leaseUntil).toBe(entry.leaseUntil);
  });

  test.each([1, 4, 8, 12])(
    'with %i videos in progress at once has as many misses of 12 equal lines',
    async (concurrency) => {
      const prompts = Array.from({ length: 12 }, () => 'a ball over a meadow');
      const { hits } = await predict(prompts, { concurrency });
      expect(hits).toMatchObject({ miss: concurrency, whole: 12 - concurrency });
    },
  );

  test('does not promise what admission refuses: deleted videos, and more than the budget of the day', async () => {
    const tenant = unique('t').replaceAll('_', '-');
    const { idempotencyKey } = new LineKeys('revision').next({ prompt: 'a deleted ball' });
    const deleted = { videoId: videoIdForKey(tenant, idempotencyKey), deletedAt: '2026-11-29' };
    await table().createJob(sampleJob({ ...deleted, tenant, status: 'completed' }));
    const prompts = ['a deleted ball', 'a ball', 'a star', 'a ring', 'a cross'];
    const one = BigInt((await predict(['a ball'])).cost);

    const free = await predict(prompts, { tenant });
    const short = await predict(prompts, { tenant, budgetPerDay: `${3n * one}` });
    const spent = await predict(
      prompts,
      { tenant, budgetPerDay: `${3n * one}` },
      { ...services(), tenants: { getSpending: async () => 2n * one } },
    );

    expect(free).toMatchObject({ refused: { condition_failed: 1 }, hits: { miss: 4 } });
    expect(short).toMatchObject({
      refused: { condition_failed: 1, budget_exceeded: 1 },
      hits: { miss: 3 },
      cost: `${3n * one}`,
    });
    expect(spent).toMatchObject({
      refused: { condition_failed: 1, budget_exceeded: 3 },
      hits: { miss: 1 },
    });
  });

  test('knows lines whose videos are there already', async () => {
    const tenant = unique('t').replaceAll('_', '-');
    const { idempotencyKey } = new LineKeys('revision').next({ prompt: 'a ball' });
    const videoId = videoIdForKey(tenant, idempotencyKey);
    await table().createJob(sampleJob({ videoId, tenant, prompt: 'a ball', status: 'completed' }));
    const predicted = await predict(['a ball', 'a star'], { tenant });
    expect(predicted).toMatchObject({ alreadyThere: 1, hits: { miss: 1 }, stepsFull: 10 });
  });

  test('reads a file, counts what cannot be read, and looks no further than it has time for', async () => {
    const file = await predict({ inputKey: 'uploads/t/p.csv', format: 'csv' });
    expect(file).toMatchObject({ lines: 3, rejected: 2, lookedAt: 1 });

    const many = Array.from({ length: MAX_LOOKED_AT * 2 }, (_, index) => `thing ${index}`);
    const predicted = await predict(many, { defaults: { ...STANDARD_DEFAULTS, cache: 'off' } });
    expect(predicted).toMatchObject({
      lines: MAX_LOOKED_AT * 2,
      lookedAt: MAX_LOOKED_AT,
      hits: { miss: MAX_LOOKED_AT * 2 },
      stepsRun: MAX_LOOKED_AT * 20,
    });
  });

  test('refuses what the workers have no time for, as the run does', async () => {
    const day = 24 * 3600;
    const time = new BackfillTime({ secondsPerVideo: async () => 10 * day }, 2);
    const using = { ...services(), time };
    const prompts = (count: number) => Array.from({ length: count }, (_, line) => `thing ${line}`);
    const inTime = await predict(prompts(6), { concurrency: 10 }, using);
    const tooMany = predict(prompts(7), { concurrency: 10 }, using);
    const oneByOne = predict(prompts(4), { concurrency: 1 }, using);

    expect(inTime).toMatchObject({ lines: 6 });
    for (const [refused, most] of [
      [tooMany, 6],
      [oneByOne, 3],
    ] as const) {
      await expect(refused).rejects.toThrow(
        new RegExp(`a backfill may take 30: split it into files of at most ${most} requests`),
      );
    }
  });

  test("prices by the GPU time of the tenant's own videos once there are any", async () => {
    const tenant = unique('t').replaceAll('_', '-');
    const usage = [{ step: 'generate' as const, gpuSeconds: 1, networkEvaluations: 10 }];
    await table().createJob(sampleJob({ tenant, status: 'completed', usage }));
    const measured = await predict(['a ball'], { tenant });
    expect(measured.measuredVideos).toBe(1);
    expect(BigInt(measured.cost)).toBeLessThan(BigInt((await predict(['a ball'])).cost));
  });
});
