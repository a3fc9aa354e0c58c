import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { costOfJob } from '#core/costs/cost.ts';
import { USAGE_STEPS, type JobStatus, type UsageRecord } from '#core/generation.ts';
import { generationWork, ledgerOf, type LedgerJob } from '#core/costs/ledger.ts';
import { priceBookOf } from '#core/pricing/prices.ts';

const book = priceBookOf('us-east-1');

/** Runs of a job that were useful, by their names. */
function useful(job: LedgerJob): (string | undefined)[] {
  return ledgerOf(job)
    .filter(({ isUseful }) => isUseful)
    .map(({ record }) => record.run ?? record.step);
}

const worker = (run: string, startedAt: number, changes: Partial<UsageRecord> = {}) =>
  ({ step: 'generate', run, startedAt, gpuSeconds: 1, ...changes }) as const;

describe('ledgerOf', () => {
  test('of each step the last run counted', () => {
    const usage: UsageRecord[] = [
      { step: 'embed', run: 'e2', startedAt: 20 },
      { step: 'embed', run: 'e1', startedAt: 10 },
      { step: 'lookup', run: 'l1', startedAt: 30 },
      worker('g1', 40),
      worker('g2', 50),
    ];

    expect(useful({ usage })).toEqual(['e2', 'l1', 'g2']);
  });

  test('what a run went on with was not in vain, however long the chain', () => {
    const usage = [
      worker('killed', 10),
      worker('first', 20),
      worker('second', 30, { continues: ['first'] }),
      worker('killed too', 40, { continues: ['first', 'second'] }),
      worker('third', 50, { continues: ['second'] }),
    ];

    expect(useful({ usage })).toEqual(['first', 'second', 'third']);
  });

  test('a chain that names itself, or nobody, ends', () => {
    const usage = [
      worker('one', 10, { continues: ['two'] }),
      worker('two', 20, { continues: ['one', 'forgotten'] }),
    ];

    expect(useful({ usage })).toEqual(['one', 'two']);
  });

  test('the end of a job says whose result it took: not every last worker is the one', () => {
    const usage: UsageRecord[] = [
      { step: 'embed', run: 'e1', startedAt: 1 },
      { step: 'embed', run: 'e2', startedAt: 2 },
      worker('slow', 10),
      worker('late', 20),
      { step: 'commit', run: 'c1', startedAt: 30, continues: ['e1', 'late'] },
      { step: 'commit', run: 'c2', startedAt: 40, continues: ['e1', 'slow'] },
      { step: 'dispatch', run: 'd1', startedAt: 5 },
      { step: 'dispatch', run: 'd2', startedAt: 6 },
    ];

    expect(useful({ usage })).toEqual(['e1', 'slow', 'c2', 'd2']);
  });

  test('a worker whose video was there in the end came to nothing', () => {
    const usage: UsageRecord[] = [
      { step: 'lookup', run: 'l1', startedAt: 1 },
      worker('killed', 10),
      { step: 'lookup', run: 'l2', startedAt: 20 },
      { step: 'commit', run: 'exact', startedAt: 30, continues: ['l2'] },
    ];

    expect(useful({ usage })).toEqual(['l2', 'exact']);
  });

  test('an attempt that was followed by another was in vain', () => {
    const usage: UsageRecord[] = [
      worker('a', 10),
      { step: 'fail', run: 'b', startedAt: 20 },
      worker('c', 30, { attempt: 2, continues: ['a'] }),
    ];

    expect(useful({ usage })).toEqual(['c']);
    // It is under way again, and nothing of that is known yet.
    expect(useful({ usage: usage.slice(0, 2), attempt: 2 })).toEqual([]);
  });

  test.each<[JobStatus, string[]]>([
    ['queued', ['a']],
    ['running', ['a']],
    ['completed', ['a']],
    ['failed', []],
    ['cancelled', []],
  ])('of a %s job', (status, expected) => {
    expect(useful({ usage: [worker('a', 1)], status })).toEqual(expected);
  });

  test('records of older deployments have no runs and are all useful in the last attempt', () => {
    const usage: UsageRecord[] = [
      { step: 'embed' },
      { step: 'generate', gpuSeconds: 4 },
      { step: 'generate', attempt: 2, gpuSeconds: 5 },
      { step: 'commit', attempt: 2 },
    ];

    expect(ledgerOf({ usage }).map(({ isUseful }) => isUseful)).toEqual([false, false, true, true]);
    // One of today beside it began later.
    const newer = worker('g', 1, { attempt: 2 });
    expect(useful({ usage: [...usage, newer] })).toEqual(['commit', 'g']);
  });

  test('nothing used is an empty ledger', () => {
    expect(ledgerOf({ usage: [] })).toEqual([]);
  });
});

describe('generationWork', () => {
  test('is the work of all workers of the chain, and of no other', () => {
    const usage = [
      worker('killed', 10, { gpuSeconds: 9, denoiseSeconds: 9, networkEvaluations: 9 }),
      worker('first', 20, { gpuSeconds: 4.1, denoiseSeconds: 3.1, networkEvaluations: 8 }),
      // Took over after the last step.
      worker('second', 30, {
        gpuSeconds: 0.2,
        denoiseSeconds: 0,
        networkEvaluations: 0,
        continues: ['first'],
      }),
    ];

    expect(generationWork({ usage })).toEqual({
      gpuSeconds: 4.3,
      denoiseSeconds: 3.1,
      networkEvaluations: 8,
    });
  });

  test('says nothing of the denoiser where one of them did not', () => {
    const usage = [
      worker('first', 1, { networkEvaluations: 3 }),
      worker('second', 2, { networkEvaluations: 4, denoiseSeconds: 1, continues: ['first'] }),
    ];

    expect(generationWork({ usage })).toEqual({ gpuSeconds: 2, networkEvaluations: 7 });
  });

  test('there is none without a machine', () => {
    expect(generationWork({ usage: [{ step: 'embed' }] })).toBeNull();
  });
});

const anyStep = fc.record({
  step: fc.constantFrom(...USAGE_STEPS),
  attempt: fc.integer({ min: 1, max: 3 }),
  run: fc.constantFrom('a', 'b', 'c', 'd'),
  startedAt: fc.nat(5),
  continues: fc.subarray(['a', 'b', 'c', 'd']),
  lambdaMilliseconds: fc.nat(9999),
  tableReadUnits: fc.nat(999).map((halves) => halves / 2),
  objectPuts: fc.nat(9),
});

const machineWork = fc.record({
  gpuSeconds: fc.nat(99_999).map((milliseconds) => milliseconds / 1000),
  idleSeconds: fc.nat(999),
  coldStartSeconds: fc.nat(99),
  networkEvaluations: fc.nat(50),
  denoiseSeconds: fc.nat(99),
  instanceType: fc.constantFrom('g6.xlarge', 'g6e.xlarge'),
  purchaseOption: fc.constantFrom('spot' as const, 'on-demand' as const, 'embedded' as const),
});

const record = fc
  .tuple(anyStep, machineWork)
  .map(([step, work]): UsageRecord => (step.step === 'generate' ? { ...step, ...work } : step));

/** As the table keeps them: one of each step, attempt and run. */
const ledger = fc.uniqueArray(record, {
  maxLength: 12,
  selector: ({ step, attempt, run }) => `${step} ${attempt} ${run}`,
});

describe('what a ledger costs', () => {
  test('adds up to the pico-dollar, by item, service, useful and wasted, and by attempt', () => {
    fc.assert(
      fc.property(ledger, (usage) => {
        const cost = costOfJob({ usage }, book);
        const sum = (amounts: bigint[]): bigint => amounts.reduce((one, other) => one + other, 0n);

        expect(sum(cost.items.map(({ amount }) => amount))).toBe(cost.total);
        expect(sum(cost.items.map((item) => item.useful + item.wasted))).toBe(cost.total);
        expect(sum(cost.items.map(({ wasted }) => wasted))).toBe(cost.wasted);
        expect(sum(cost.services.map(({ amount }) => amount))).toBe(cost.total);
        expect(cost.total + cost.idle + cost.coldStart).toBe(cost.loaded);
        expect(cost.full - cost.saved).toBe(cost.total);
        // Attempts are charged one by one, and so might records be.
        for (const parts of [
          [1, 2, 3].map((attempt) => usage.filter((each) => each.attempt === attempt)),
          usage.map((each) => [each]),
        ]) {
          expect(sum(parts.map((part) => costOfJob({ usage: part }, book).total))).toBe(cost.total);
        }
      }),
    );
  });

  test('does not depend on the order in which records were written', () => {
    fc.assert(
      fc.property(ledger, (usage) => {
        const distinct = usage.map((each, index) => ({ ...each, startedAt: index }));
        const cost = costOfJob({ usage: distinct }, book);
        const backwards = costOfJob({ usage: distinct.toReversed() }, book);

        expect(backwards.wasted).toBe(cost.wasted);
        expect(backwards.loaded).toBe(cost.loaded);
      }),
    );
  });
});
