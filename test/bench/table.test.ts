import { describe, expect, it } from 'vitest';
import { dilate } from '#core/latents/compose.ts';
import { renoise } from '#core/latents/schedule.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { dollarsOf, latencyOf, qualityLoss } from '../../bench/table/comparison.ts';
import { fromHalf, toHalf } from '../../bench/table/half-floats.ts';
import { publishedNirvanaLadder, skippedSteps } from '../../bench/table/ladder.ts';
import { NearestSearch } from '../../bench/table/nearest.ts';
import { benchRequests } from '../../bench/table/requests.ts';
import { RESULT_FORMAT, type RowResult } from '../../bench/table/result.ts';
import { adherenceOf } from '../../bench/table/statistics.ts';
import { NoisyStateCache } from '../../bench/table/systems/noisy-states.ts';
import { composeStates, partEntry } from '../../bench/table/systems/parts-of-states.ts';
import { penalised, skipAbove } from '../../bench/table/systems/vllm-omni.ts';
import { fitLadder, fitThreshold, type TuningCell } from '../../bench/table/tuning.ts';
import { turnsOf } from '../../bench/table/turns.ts';

describe('a trace', () => {
  it('marks exact repeats', () => {
    const requests = benchRequests({ requests: 600, seed: 3 });
    const keys = requests.map(({ prompt, seed }) => `${seed} ${prompt}`);
    for (const { index, isExact } of requests) {
      expect(isExact).toBe(keys.indexOf(keys[index]!) < index);
    }
    expect(requests.some(({ isExact }) => isExact)).toBe(true);
  });

  it('has the same requests in another order when shuffled', () => {
    const options = { requests: 200, seed: 1 };
    const [inOrder, shuffled] = [
      benchRequests(options),
      benchRequests({ ...options, shuffled: true }),
    ];
    const named = (requests: typeof inOrder) =>
      requests.map(({ prompt, seed }) => `${seed} ${prompt}`);
    expect(named(shuffled)).not.toEqual(named(inOrder));
    expect(named(shuffled).sort()).toEqual(named(inOrder).sort());
  });
});

it('adherence counts the attributes that a prompt names, in the words of the package', () => {
  const attributes = [
    { name: 'shape', part: 'object', values: ['ball', 'square'], words: [['orb'], ['cube']] },
    { name: 'color', part: 'object', values: ['red', 'green'] },
    { name: 'scene', part: 'background', values: ['meadow', 'beach'] },
  ] as const;
  const [request] = benchRequests({ requests: 1, seed: 1 });
  const asking = { ...request!, prompt: 'a red cube' };
  expect(adherenceOf(attributes, asking, [1, 1, 0])).toEqual({ right: 1, asked: 2 });
  expect(adherenceOf(attributes, asking, [1, 0, 1])).toEqual({ right: 2, asked: 2 });
});

describe('turns', () => {
  const requests = benchRequests({ requests: 500, seed: 2 });
  const turns = [...turnsOf(requests, 24)];

  it('have every request once and no session or prompt twice', () => {
    expect(
      turns
        .flat()
        .map(({ index }) => index)
        .sort((a, b) => a - b),
    ).toEqual(requests.map(({ index }) => index));
    for (const turn of turns) {
      expect(turn.length).toBeLessThanOrEqual(24);
      expect(new Set(turn.map(({ session }) => session)).size).toBe(turn.length);
      expect(new Set(turn.map(({ prompt }) => prompt)).size).toBe(turn.length);
    }
  });

  it('keep the order within a session', () => {
    for (const group of Map.groupBy(turns.flat(), ({ session }) => session).values()) {
      const places = group.map(({ index }) => index);
      expect(places).toEqual([...places].sort((one, other) => one - other));
    }
  });
});

describe('ladders', () => {
  it('scale the published one to fewer steps', () => {
    expect(publishedNirvanaLadder(50).map(({ skipped }) => skipped)).toEqual([5, 10, 15, 20, 25]);
    expect(publishedNirvanaLadder(6)).toEqual([
      { similarity: 0.75, skipped: 1 },
      { similarity: 0.9, skipped: 2 },
      { similarity: 0.95, skipped: 3 },
    ]);
    expect(skippedSteps(publishedNirvanaLadder(10), 0.86)).toBe(3);
    expect(skippedSteps(publishedNirvanaLadder(10), 0.6)).toBe(0);
  });

  it('are fitted to the lowest similarity whose hits lose little on average', () => {
    const cell = (skipped: number, similarity: number, loss: number): TuningCell => ({
      family: 'prompts',
      skipped,
      similarity,
      loss,
    });
    const cells = Array.from({ length: 40 }, (_, index) => {
      const similarity = 1 - index / 100;
      // One step costs from 0.7 on, two from 0.8 on, three always.
      return [
        cell(1, similarity, similarity < 0.7 ? 1 : 0),
        cell(2, similarity, similarity < 0.8 ? 1 : 0),
        cell(3, similarity, 1),
      ];
    }).flat();
    const ladder = fitLadder(cells, 'prompts', 0.001);
    expect(ladder.map(({ skipped }) => skipped)).toEqual([1, 2]);
    expect(ladder[0]!.similarity).toBeCloseTo(0.7, 6);
    expect(ladder[1]!.similarity).toBeCloseTo(0.8, 6);
    expect(fitLadder(cells, 'videos', 0.001)).toEqual([]);
  });

  it("of vLLM-Omni's rule grow from the least skip to half of the steps", () => {
    const skip = skipAbove(0.75, 50);
    expect(skip(0.74)).toBe(0);
    expect(skip(0.75)).toBe(5);
    expect(skip(1)).toBe(25);
    expect(skipAbove(0.5, 6)(1)).toBe(3);
    expect(penalised(0.9, 0.1)).toBeCloseTo(0.45, 6);
    const cells: TuningCell[] = Array.from({ length: 60 }, (_, index) => index / 60).flatMap(
      (similarity) =>
        [1, 2, 3].map((skipped) => ({
          family: 'penalised prompts' as const,
          similarity,
          skipped,
          loss: similarity < 0.5 ? 1 : 0,
        })),
    );
    expect(fitThreshold(cells, 6, 0)).toBe(0.5);
    expect(
      fitThreshold(
        cells.map((cell) => ({ ...cell, loss: 1 })),
        6,
        0,
      ),
    ).toBe(2);
  });
});

describe('noisy states', () => {
  const shape = [2, 2, 4, 4];
  const latent = standardNormalNoise(shape, 1, 'latent');
  const mask = {
    data: new Float32Array(32).map((_, index) => (index % 16 < 2 ? 1 : 0)),
    shape: [2, 4, 4],
  };

  it('of two donors are put together along the dilated mask of the object', () => {
    const state = (seed: number) => standardNormalNoise(shape, seed, 'state');
    const object = partEntry(latent, mask, new Map([[2, state(2)]]));
    const background = partEntry(
      latent,
      { ...mask, data: new Float32Array(32) },
      new Map([[2, state(3)]]),
    );
    const composed = composeStates({ object, background }, 2, 6, 9);
    const inside = dilate(mask).data;
    const [ofObject, ofBackground] = [fromHalf(toHalf(state(2))), fromHalf(toHalf(state(3)))];
    for (const [index, value] of composed.data.entries()) {
      const expected = inside[index % 32]! > 0 ? ofObject : ofBackground;
      expect(value).toBe(expected.data[index]);
    }
  });

  it('that a hit did not go through are its clean latent with noise', () => {
    const entry = partEntry(latent, mask, new Map());
    const state = composeStates({ object: entry, background: entry }, 3, 6, 5);
    const expected = renoise(fromHalf(toHalf(latent)), 0.5, standardNormalNoise(shape, 5, 'start'));
    expect(state.data).toEqual(expected.data);
  });
});

it('a cache of noisy states holds those of full generations and counts what hits read', async () => {
  // Prepare
  const latent = standardNormalNoise([2, 2, 4, 4], 1, 'latent');
  const cache = new NoisyStateCache({
    full: { solver: 'euler', steps: 6 },
    skip: (similarity) => (similarity > 0.9 ? 2 : 0),
    stored: [1, 2],
    storesHits: false,
  });
  const requests = benchRequests({ requests: 3, seed: 1 });
  const vectors = { whole: [1, 0], object: null, background: null };
  const embedding = { objectPhrase: null, backgroundPhrase: null, vectors };
  const states = new Map([1, 2].map((step) => [step, latent]));
  const NONE = new Float32Array(0);
  const judged = { values: [], shown: {}, probabilities: NONE, features: NONE };
  const hits: string[] = [];

  // Act
  for (const request of requests) {
    const decision = await cache.decide(request, embedding);
    hits.push(decision.hit);
    const made = { request, decision, latent, states, evaluations: 6, equivalents: 6, judged };
    await cache.store([made]);
  }

  // Assess
  expect(hits).toEqual(['miss', 'whole', 'whole']);
  const state = 2 * latent.data.length;
  expect(cache.holdings()).toEqual({ entries: 1, bytes: 2 * state, bytesRead: 2 * state });
});

it('finds the nearest by cosine or by another score', () => {
  const search = new NearestSearch<string>();
  search.add([1, 0], 'right');
  search.add([0, 1], 'up');
  expect(search.find([0.6, 0.8])).toEqual({ item: 'up', similarity: expect.closeTo(0.8, 6) });
  expect(search.find([0.6, 0.8], (cosine, item) => (item === 'up' ? 0 : cosine))?.item).toBe(
    'right',
  );
});

describe('comparison', () => {
  const row = (right: string, hits: string, distance: number): RowResult => ({
    format: RESULT_FORMAT,
    row: { id: 'x', label: 'x', kind: 'ours', full: 'tuned' },
    full: { solver: 'euler', steps: 6 },
    createdAt: '',
    machine: '',
    provider: 'cpu',
    isPlanned: false,
    seed: 1,
    modelRevision: '',
    calibratedAt: null,
    tuning: null,
    requests: {
      index: [...hits].map((_, index) => index),
      hits,
      evaluations: [],
      equivalents: [],
      right,
      asked: '4444',
    },
    evaluations: { mean: 0, low: 0, high: 0 },
    equivalents: { mean: 0, low: 0, high: 0 },
    frechet: { distance, standardError: 0, samples: 3, influence: [1, 0, -1] },
    diversity: null,
    videos: 3,
    holdings: { entries: 3, bytes: 3 * 2 ** 30, bytesRead: 0 },
    replaySeconds: 0,
  });

  it('pairs requests that both made, and leaves exact repeats out', () => {
    const loss = qualityLoss(row('3440', 'mwme', 110), row('4444', 'mmme', 100))!;
    expect(loss.requests).toBe(3);
    expect(loss.adherence.mean).toBeCloseTo(0.25 / 3, 6);
    expect(loss.frechet!.mean).toBeCloseTo(0.1, 6);
    // Both are moved alike by every request: nothing of the difference is chance.
    expect(loss.frechet!.high).toBeCloseTo(0.1, 6);
  });

  it('charges seconds, bytes, puts and reads', () => {
    const service = { seconds: 3.6, perHour: 1000, latency: { p50: 0, p95: 0 } };
    const { gpu, storage } = dollarsOf(row('4444', 'mwpe', 1), service);
    // An hour of the reference machine for 1,000 requests.
    expect(gpu).toBeCloseTo(0.8048, 3);
    expect(storage).toBeGreaterThan(250 * 3 * 0.023);
    expect(storage).toBeLessThan(250 * 3 * 0.023 + 250 * (3 * 5e-6 + 3 * 4e-7) + 1e-9);
  });

  it('queues as M/D/1 does: at 70 % load the mean wait is 7/6 of a service', () => {
    const services = Array.from({ length: 4000 }, () => 1);
    const { p50, p95 } = latencyOf(services, 0.7);
    expect(p50).toBeGreaterThan(1.5);
    expect(p50).toBeLessThan(2.1);
    expect(p95).toBeGreaterThan(4);
    expect(p95).toBeLessThan(7);
  });
});
