import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { simulate } from '#simulation/simulate.ts';
import {
  POLICY_NAMES,
  type CacheResult,
  type CacheSetup,
  type PolicyName,
  type ReplayedRequest,
  type SimulationOptions,
} from '#simulation/types.ts';
import { cache, requestsOf, simulationOptions, START, vectorOf } from './trace-fixture.ts';

const DOLLARS_PER_EVALUATION = 2 / 3600;

async function run(
  trace: readonly ReplayedRequest[],
  setup: CacheSetup,
  overrides: Partial<SimulationOptions> = {},
): Promise<CacheResult> {
  const { caches } = await simulate(trace, simulationOptions({ caches: [setup], ...overrides }));
  return caches[0]!;
}

/** With one seed, so that what comes again is answered exactly and stored once. */
async function missesOf(names: string, policy: PolicyName, entries: number): Promise<number> {
  const trace = requestsOf([...names]).map((request) => ({ ...request, seed: 5 }));
  return (await run(trace, cache(policy, entries))).hits.miss;
}

describe('simulate', () => {
  it('runs every request in full without a cache', async () => {
    const result = await run(requestsOf(['a', 'a', 'b']), cache('none'));

    expect(result.hits).toMatchObject({ miss: 3, 'same-prompt': 0 });
    expect(result.evaluations).toBe(36);
    expect(result.dollars.gpu).toBeCloseTo(36 * DOLLARS_PER_EVALUATION, 12);
    expect(result.dollars).toMatchObject({ storage: 0, requests: 0, total: result.dollars.gpu });
  });

  it('counts repeated prompts apart from other reuse', async () => {
    const near = Float32Array.from(vectorOf('a'));
    near[0]! += 0.1;
    const length = Math.hypot(...near);
    const trace = requestsOf(['a', 'a', 'a2']);
    trace[2]!.vectors.whole = near.map((element) => element / length);
    const result = await run(trace, cache('all'));

    expect(result.hits).toMatchObject({ miss: 1, 'same-prompt': 1, whole: 1 });
    expect(result.evaluations).toBe(12 + 4 + 4);
    // The first pass: the miss and the hit on another prompt.
    expect(result.semanticSkippedShare).toBeCloseTo(1 - 16 / 24, 12);
    expect(result.skippedShare).toBeCloseTo(1 - 20 / 36, 12);
  });

  it('returns a finished video for the same prompt and seed, and for no request without a seed', async () => {
    const trace = requestsOf(['a', 'a', 'a', 'a']);
    for (const request of trace) request.seed = 5;
    trace[3]!.seed = null;
    const result = await run(trace, cache('all'));

    expect(result.hits).toMatchObject({ miss: 1, exact: 2, 'same-prompt': 1 });
    // What is returned is not stored again.
    expect(result.entries.atEnd).toBe(2);
  });

  it('takes two donors for what one entry has of each part', async () => {
    const trace = requestsOf(['x', 'y', 'z']);
    const [o, b] = [vectorOf('object'), vectorOf('background')];
    trace[0]!.vectors = { ...trace[0]!.vectors, object: o, background: vectorOf('elsewhere') };
    trace[1]!.vectors = { ...trace[1]!.vectors, object: vectorOf('other'), background: b };
    trace[2]!.vectors = { ...trace[2]!.vectors, object: o, background: b };

    expect((await run(trace, cache('all'))).hits).toMatchObject({
      miss: 2,
      'object+background': 1,
    });
  });

  it('starts from other tenants only where all share', async () => {
    const trace = requestsOf(['a', 'a']);
    trace[1]!.tenant = 'other';

    expect((await run(trace, cache('all'), { scope: 'tenant' })).hits.miss).toBe(2);
    expect((await run(trace, cache('all'), { scope: 'shared' })).hits.miss).toBe(1);
  });

  it('takes no donor whose line is at its end', async () => {
    // Each is made from the one before it, which alone is left: reuse depths 0, 1, 2, 3.
    const { hits } = await run(requestsOf(['a', 'a', 'a', 'a', 'a', 'a']), cache('fifo', 1));

    expect(hits).toMatchObject({ miss: 2, 'same-prompt': 4 });
  });

  it('charges rent for exactly the time that an entry is kept', async () => {
    // Two months of 730 hours; the first entry is pushed out after one of them.
    const month = 730 * 3600;
    const trace = requestsOf(['a', 'b', 'c'], month);
    const kept = await run(trace, cache('all'));
    const one = await run(trace, cache('fifo', 1));

    const latent = 2 ** 20 / 2 ** 30;
    // Of Standard $0.023, of vectors 0.06, of the table 0.25 and its backup 0.2 a GB and month.
    const vectors = (32 * 4 + 192) / 2 ** 30;
    const item = (32 * 4 + 2560) / 2 ** 30;
    const rent = latent * 0.023 + vectors * 0.06 + item * (0.25 + 0.2);
    expect(kept.dollars.storage / rent).toBeCloseTo(3, 6);
    expect(one.dollars.storage / rent).toBeCloseTo(2, 6);
  });

  it('lets the GPU wait for what is not in the fast tier, and charges the tier by its size', async () => {
    const fetch = { seconds: 10, bytesPerSecond: 2 ** 20 };
    const fastTier = { bytes: 2 ** 30, dollarsPerGbMonth: 0.08 };
    const trace = requestsOf(['a', 'a', 'a'], 365 * 3600);
    const slow = await run(trace, cache('lru', 10), { fetch });
    const fast = await run(trace, cache('lru', 10, { fastTier }), { fetch });

    expect((slow.dollars.gpu - fast.dollars.gpu) * 3600).toBeCloseTo(2 * (10 + 1), 6);
    expect(fast.fastTierHits).toBe(2);
    expect(fast.dollars.storage - slow.dollars.storage).toBeCloseTo(0.08, 9);
  });

  it.each([
    // a is used between b and c: LRU drops b, FIFO drops a.
    ['abaca', 'lru', 2, 3],
    ['abaca', 'fifo', 2, 4],
    // a was used twice and stays.
    ['aabcda', 'lfu', 2, 4],
    ['aabcda', 'lru', 2, 5],
    ['aabcda', 'lcbfu', 2, 4],
    ['aabcda', 'gdsf', 2, 5],
  ] satisfies [string, PolicyName, number, number][])(
    'replays %s under %s of %d',
    async (names, policy, entries, misses) => {
      expect(await missesOf(names, policy, entries)).toBe(misses);
    },
  );

  it('never holds more than its capacity, and neither loses nor invents a request', async () => {
    const letters = fc.array(fc.constantFrom(...'abcdefgh'), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(letters, fc.integer({ min: 1, max: 5 }), async (names, entries) => {
        const caches = POLICY_NAMES.map((policy) => cache(policy, entries));
        const results = await simulate(requestsOf(names), simulationOptions({ caches }));
        for (const {
          setup,
          requests,
          hits,
          evaluations,
          dollars,
          entries: held,
        } of results.caches) {
          const isBound = setup.policy !== 'all' && setup.policy !== 'none';
          if (isBound) expect(held.most).toBeLessThanOrEqual(entries);
          expect(held.stored - held.evicted).toBe(held.atEnd);
          expect(requests).toBe(names.length);
          expect(Object.values(hits).reduce((sum, count) => sum + count, 0)).toBe(names.length);
          expect(dollars.gpu).toBeCloseTo(evaluations * DOLLARS_PER_EVALUATION, 9);
          expect(dollars.total).toBe(dollars.gpu + dollars.storage + dollars.requests);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('gives each cache the same result beside others as alone', async () => {
    const trace = requestsOf([...'abcabdaebafcagbahcaibajc'.repeat(4)]);
    const caches = POLICY_NAMES.map((policy) => cache(policy, 3));
    const together = await simulate(trace, simulationOptions({ caches }));

    for (const [index, setup] of caches.entries()) {
      expect(await run(trace, setup)).toEqual(together.caches[index]);
    }
  });

  it('keeps by rent what saves more than it costs, though there is room for nothing to spare', async () => {
    // `hot` comes every other time between prompts that never come again.
    const names = Array.from({ length: 400 }, (_, index) =>
      index % 2 === 0 ? 'hot' : `n${index}`,
    );
    const [rent, fifo] = await Promise.all(
      (['rent', 'fifo'] as const).map((policy) => run(requestsOf(names, 3600), cache(policy, 4))),
    );

    expect(rent!.dollars.gpu).toBeLessThan(fifo!.dollars.gpu);
    expect(rent!.hits['same-prompt']).toBeGreaterThan(190);
  });

  it('evicts by rent what costs more than it saves, though there is room', async () => {
    // A gigabyte each, a cent of GPU time saved at most, and nothing ever comes again.
    const names = Array.from({ length: 60 }, (_, index) => `n${index}`);
    const trace = requestsOf(names, 24 * 3600);
    const [rent, all] = await Promise.all(
      (['rent', 'all'] as const).map((policy) =>
        run(trace, cache(policy), { latentBytes: 2 ** 30 }),
      ),
    );

    expect(rent!.entries.atEnd).toBeLessThan(25);
    expect(rent!.dollars.total).toBeLessThan(all!.dollars.total);
  });

  it('refuses a trace that runs backwards, and one without requests', async () => {
    const trace = requestsOf(['a', 'b']);
    trace[1]!.time = START - 1;

    await expect(simulate(trace, simulationOptions())).rejects.toThrow(/sort|follows/);
    await expect(simulate([], simulationOptions())).rejects.toThrow('the trace has no requests');
  });

  it.each([
    ['steps', { steps: 0 }],
    ['steps', { steps: 1.5 }],
    ['latentBytes', { latentBytes: -1 }],
    ['secondsPerEvaluation', { secondsPerEvaluation: Number.NaN }],
    ['dollarsPerGpuSecond', { dollarsPerGpuSecond: -0.1 }],
    ['fetch.seconds', { fetch: { seconds: -1, bytesPerSecond: 1 } }],
    ['fetch.bytesPerSecond', { fetch: { seconds: 0, bytesPerSecond: 0 } }],
    ['caches', { caches: [] }],
    ['caches[0].capacity.entries', { caches: [cache('lru', 0)] }],
    [
      'caches[0].fastTier.bytes',
      { caches: [cache('lru', 1, { fastTier: { bytes: -1, dollarsPerGbMonth: 0 } })] },
    ],
  ] satisfies [string, Partial<SimulationOptions>][])(
    'refuses %s of %o',
    async (field, overrides) => {
      const attempt = simulate(requestsOf(['a']), simulationOptions(overrides));

      await expect(attempt).rejects.toThrow(InvalidInputError);
      await expect(attempt).rejects.toMatchObject({ field });
    },
  );
});
