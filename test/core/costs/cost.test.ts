import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ASSUMED_TIMING, costOfJob, estimateCost, measuredTiming } from '#core/costs/cost.ts';
import { InvalidInputError } from '#core/errors.ts';
import type { JobResult, UsageRecord } from '#core/generation.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { priceBookOf, UnknownPriceError } from '#core/pricing/prices.ts';
import { costOfUsage } from '#core/costs/usage-cost.ts';

const book = priceBookOf('us-east-1');

function usd(text: string): bigint {
  return parseUsd(text, 'expected');
}

function amountOf(record: UsageRecord): bigint {
  return costOfUsage([record], book).total;
}

describe('costOfUsage', () => {
  test('a Lambda costs its GB-seconds and its request', () => {
    // 0.2 s x 1769/1024 GB x $0.0000166667 = $0.00000575847... ; + $0.0000002
    // exactly: 200 * 1769 * 16666700 / 1024000 = 5758474.66..., to the nearest pico-dollar
    const cost = costOfUsage(
      [{ step: 'embed', lambdaMilliseconds: 200, lambdaMegabytes: 1769 }],
      book,
    );

    expect(cost.items.map(({ priceId, amount }) => [priceId, amount])).toEqual([
      ['lambda.gb-second.x86_64', 5_758_475n],
      ['lambda.request', 200_000n],
    ]);
    expect(cost.total).toBe(5_958_475n);
  });

  test('an arm64 Lambda has its own price', () => {
    // 1 s x 1 GB x $0.0000133334 + $0.0000002
    expect(
      amountOf({
        step: 'embed',
        lambdaMilliseconds: 1000,
        lambdaMegabytes: 1024,
        lambdaArchitecture: 'arm64',
      }),
    ).toBe(usd('0.0000133334') + usd('0.0000002'));
  });

  test('a Lambda of this machine is priced with the memory of the reference', () => {
    const measured: UsageRecord = { step: 'embed', lambdaMilliseconds: 100 };

    expect(amountOf(measured)).toBe(amountOf({ ...measured, lambdaMegabytes: 1769 }));
  });

  test('GPU seconds cost their share of an hour of their machine', () => {
    // 90 s x $1.861 / 3600 = $0.046525; Spot: 90 x $1.1975 / 3600 = $0.0299375
    const record: UsageRecord = { step: 'generate', gpuSeconds: 90, instanceType: 'g6e.xlarge' };

    expect(amountOf({ ...record, purchaseOption: 'on-demand' })).toBe(usd('0.046525'));
    expect(amountOf({ ...record, purchaseOption: 'spot' })).toBe(usd('0.0299375'));
  });

  test('GPU seconds of this machine cost what the reference machine would', () => {
    // 4.5 s x $0.8048 / 3600 = $0.001006
    expect(
      amountOf({
        step: 'generate',
        gpuSeconds: 4.5,
        instanceType: 'embedded',
        purchaseOption: 'embedded',
      }),
    ).toBe(usd('0.001006'));
  });

  test('requests cost their unit price each', () => {
    // 5 x 0.000025 = 0.000125
    expect(amountOf({ step: 'commit', stateTransitions: 5 })).toBe(usd('0.000125'));
    // 2.5 x 0.000000125 = 0.0000003125
    expect(amountOf({ step: 'commit', tableReadUnits: 2.5 })).toBe(usd('0.0000003125'));
    // 8 x 0.000000625 = 0.000005
    expect(amountOf({ step: 'commit', tableWriteUnits: 8 })).toBe(usd('0.000005'));
    // 4 x 0.000005 + 2 x 0.0000004 = 0.0000208
    expect(amountOf({ step: 'generate', objectPuts: 4, objectGets: 2 })).toBe(usd('0.0000208'));
    // 3 x 0.0000025 = 0.0000075
    expect(amountOf({ step: 'lookup', vectorQueries: 3 })).toBe(usd('0.0000075'));
    // 6 x 0.0000004 = 0.0000024
    expect(amountOf({ step: 'generate', queueRequests: 6 })).toBe(usd('0.0000024'));
  });

  test('vectors are charged by the request, 128 KB at least', () => {
    // one request: 128 KB / 1 GB = 1/8192; $0.20 / 8192 = $0.0000244140625
    expect(amountOf({ step: 'commit', vectorPuts: 1 })).toBe(usd('0.000024414063'));
    expect(amountOf({ step: 'commit', vectorPuts: 3 })).toBe(usd('0.000024414063'));
    // 501 vectors are two requests
    expect(amountOf({ step: 'commit', vectorPuts: 501 })).toBe(usd('0.000048828125'));
    expect(amountOf({ step: 'commit', vectorPuts: 0 })).toBe(0n);
  });

  test('nothing used costs nothing and has no items', () => {
    expect(costOfUsage([], book)).toEqual({ total: 0n, items: [] });
    expect(costOfUsage([{ step: 'lookup', tableReadUnits: 0 }], book).items).toEqual([]);
  });

  test('is the sum of its items, whatever the order of the records', () => {
    const amount = fc.integer({ min: 0, max: 100_000 }).map((thousandths) => thousandths / 1000);
    const record = fc.record({
      step: fc.constantFrom<UsageRecord['step']>('embed', 'lookup', 'commit'),
      lambdaMilliseconds: amount,
      lambdaMegabytes: fc.constantFrom(512, 1769),
      tableReadUnits: amount,
      objectPuts: fc.nat(1000),
      vectorPuts: fc.nat(1000),
    });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 5 }), (records) => {
        const { total, items } = costOfUsage(records, book);
        expect(items.reduce((sum, item) => sum + item.amount, 0n)).toBe(total);
        expect(costOfUsage(records.toReversed(), book).total).toBe(total);
      }),
    );
  });

  test.each<[keyof UsageRecord, unknown]>([
    ['tableReadUnits', -1],
    ['tableWriteUnits', NaN],
    ['objectPuts', Infinity],
    ['objectGets', 1e10],
    ['vectorQueries', '3'],
    ['vectorPuts', -0.5],
    ['stateTransitions', NaN],
    ['queueRequests', -2],
    ['lambdaMilliseconds', -1],
    ['lambdaMegabytes', 20_000],
    ['gpuSeconds', 1e9],
    ['gpuSeconds', NaN],
  ])('%s of %s is refused by name', (field, amount) => {
    const record = {
      step: 'generate',
      instanceType: 'g6.xlarge',
      purchaseOption: 'spot',
      lambdaMilliseconds: 1,
      [field]: amount,
    } as UsageRecord;

    expect(() => costOfUsage([record], book)).toThrow(InvalidInputError);
    expect(() => costOfUsage([record], book)).toThrow(`generate.${field}`);
  });

  test('an instance type without a price is named, not free', () => {
    const record: UsageRecord = {
      step: 'generate',
      gpuSeconds: 1,
      instanceType: 'p9.xlarge',
      purchaseOption: 'on-demand',
    };

    expect(() => costOfUsage([record], book)).toThrow(UnknownPriceError);
    expect(() => costOfUsage([record], book)).toThrow('ec2.p9.xlarge.on-demand');
  });

  test.each(['instanceType', 'purchaseOption'] as const)(
    'GPU seconds without their %s are refused',
    (field) => {
      const record: UsageRecord = {
        step: 'generate',
        gpuSeconds: 1,
        instanceType: 'g6.xlarge',
        purchaseOption: 'spot',
      };
      delete record[field];

      expect(() => costOfUsage([record], book)).toThrow(field);
    },
  );
});

function resultOf(changes: Partial<JobResult>): JobResult {
  return {
    hit: 'miss',
    donors: [],
    startTime: 1,
    stepsRun: 50,
    fullSteps: 50,
    videoKey: 'v',
    posterKey: 'p',
    animationKey: 'a',
    spritesheetKey: 's',
    videoBytes: 1,
    latentBytes: 1,
    seconds: { embed: 0, lookup: 0, queue: 0, generate: 0, commit: 0, total: 0 },
    ...changes,
  };
}

describe('costOfJob', () => {
  const generate: UsageRecord = {
    step: 'generate',
    gpuSeconds: 20,
    denoiseSeconds: 10,
    networkEvaluations: 5,
    instanceType: 'g6e.xlarge',
    purchaseOption: 'on-demand',
  };

  test('a hit saved the evaluations that it did not run', () => {
    // run:  20 s x 1.861 / 3600                     = 0.010338888889
    // full: 20 s + (50 - 5) x 10 s / 5 = 110 s      = 0.056863888889
    const cost = costOfJob({ usage: [generate], result: resultOf({ stepsRun: 5 }) }, book);

    expect(cost.total).toBe(usd('0.010338888889'));
    expect(cost.gpu).toBe(cost.total);
    expect(cost.full).toBe(usd('0.056863888889'));
    expect(cost.saved).toBe(usd('0.046525'));
    expect(cost.basis).toEqual({
      instanceType: 'g6e.xlarge',
      purchaseOption: 'on-demand',
      isReference: false,
    });
    expect(cost).toMatchObject({ asOf: book.asOf, region: 'us-east-1' });
  });

  test('steps of a region cost what they compute', () => {
    // 5 evaluations in 10 s that compute what 2.5 of all tokens do: 4 s each.
    // full: 20 s + (50 - 2.5) x 4 s = 210 s x 1.861 / 3600 = 0.108558333333
    const region = { ...generate, evaluationEquivalents: 2.5 };
    const result = resultOf({ stepsRun: 5, equivalentsRun: 2.5 });

    const cost = costOfJob({ usage: [region], result }, book);

    expect(cost.total).toBe(usd('0.010338888889'));
    expect(cost.saved).toBe(usd('0.098219444444'));
  });

  test('a full generation saved nothing', () => {
    const usage: UsageRecord[] = [
      { ...generate, networkEvaluations: 50 },
      { step: 'commit', stateTransitions: 5 },
    ];

    const cost = costOfJob({ usage, result: resultOf({}) }, book);

    expect(cost.full).toBe(cost.total);
    expect(cost.saved).toBe(0n);
  });

  test('without denoiser seconds all GPU seconds scale', () => {
    const { denoiseSeconds: _, ...plain } = generate;
    // 20 s + 45 x 20 / 5 = 200 s x 1.861 / 3600 = 0.103388888889
    const cost = costOfJob({ usage: [plain], result: resultOf({ stepsRun: 5 }) }, book);

    expect(cost.full).toBe(usd('0.103388888889'));
  });

  test('an exact hit saved what its video would take again', () => {
    // 3 s + (50 - 5) x 2 s / 5 = 21 s x 0.8048 / 3600 = 0.004694666667; transitions 4 x 0.000025
    const replaced = { gpuSeconds: 3, denoiseSeconds: 2, networkEvaluations: 5 };
    const cost = costOfJob(
      {
        usage: [{ step: 'commit', stateTransitions: 4 }],
        result: resultOf({ hit: 'exact', stepsRun: 0, replaced }),
      },
      book,
    );

    expect(cost.total).toBe(usd('0.0001'));
    expect(cost.gpu).toBe(0n);
    expect(cost.saved).toBe(usd('0.004694666667'));
    expect(cost.full).toBe(usd('0.004794666667'));
    expect(cost.basis).toMatchObject({ instanceType: 'g6.xlarge', isReference: true });
  });

  test('a failed attempt is paid for and saves nothing', () => {
    const usage: UsageRecord[] = [
      { ...generate, attempt: 2, networkEvaluations: 50 },
      { ...generate, gpuSeconds: 7, networkEvaluations: 3 },
    ];

    const cost = costOfJob({ usage, result: resultOf({}) }, book);

    // 27 s x 1.861 / 3600 = 0.0139575
    expect(cost.total).toBe(usd('0.0139575'));
    expect(cost.saved).toBe(0n);
  });

  test('steps of a worker that was taken away are not taken for saved ones', () => {
    // The second worker ran 20 of 50: nothing was skipped.
    const usage: UsageRecord[] = [{ ...generate, networkEvaluations: 20 }];

    expect(costOfJob({ usage, result: resultOf({}) }, book).saved).toBe(0n);
  });

  test('what is not known was not saved', () => {
    const unfinished = costOfJob({ usage: [generate] }, book);
    const exact = costOfJob({ usage: [], result: resultOf({ hit: 'exact' }) }, book);

    expect(unfinished.saved).toBe(0n);
    expect(exact).toMatchObject({ total: 0n, full: 0n, saved: 0n });
  });

  test('work of this machine says that it is priced as the reference', () => {
    const usage: UsageRecord[] = [
      { ...generate, instanceType: 'embedded', purchaseOption: 'embedded' },
    ];

    const { basis, total } = costOfJob({ usage }, book);

    expect(basis).toEqual({
      instanceType: 'g6.xlarge',
      purchaseOption: 'on-demand',
      isReference: true,
    });
    // 20 s x 0.8048 / 3600 = 0.004471111111
    expect(total).toBe(usd('0.004471111111'));
  });

  test('a machine that was taken away is waste, and one that was gone on with is not', () => {
    const spot = book.prices.get('ec2.g6.xlarge.spot')!.amount;
    const taken = { ...generate, run: 'a', startedAt: 1, gpuSeconds: 36 };
    const first = {
      ...generate,
      run: 'b',
      startedAt: 2,
      gpuSeconds: 72,
      instanceType: 'g6.xlarge',
      purchaseOption: 'spot',
    } as const;
    const last = { ...generate, run: 'c', startedAt: 3, gpuSeconds: 18, continues: ['b'] };

    const cost = costOfJob({ usage: [taken, first, last], result: resultOf({}) }, book);

    // 36 s x 1.861 / 3600 = 0.01861; 18 s x 1.861 / 3600 = 0.009305; 72 s are a fiftieth of an hour
    expect(cost.items.map(({ priceId, useful, wasted }) => [priceId, useful, wasted])).toEqual([
      ['ec2.g6e.xlarge.on-demand', usd('0.009305'), usd('0.01861')],
      ['ec2.g6.xlarge.spot', spot / 50n, 0n],
    ]);
    expect(cost.wasted).toBe(usd('0.01861'));
    expect(cost.total).toBe(usd('0.027915') + spot / 50n);
    expect(cost.basis.instanceType).toBe('g6e.xlarge');
    expect(cost.machines).toEqual([
      { instanceType: 'g6e.xlarge', purchaseOption: 'on-demand', isReference: false },
      { instanceType: 'g6.xlarge', purchaseOption: 'spot', isReference: false },
    ]);
  });

  test('what several machines would have taken is saved at their own speeds and prices', () => {
    const spot = book.prices.get('ec2.g6.xlarge.spot')!.amount;
    // Ran 10 of 50: 6 in 12 s on one machine, 4 in 20 s on the other; 40 / 10 times that was saved.
    const first = {
      ...generate,
      run: 'a',
      startedAt: 1,
      networkEvaluations: 6,
      denoiseSeconds: 12,
      instanceType: 'g6.xlarge',
      purchaseOption: 'spot',
    } as const;
    const last = {
      ...generate,
      run: 'b',
      startedAt: 2,
      networkEvaluations: 4,
      denoiseSeconds: 20,
      continues: ['a'],
    };

    const { saved } = costOfJob({ usage: [first, last], result: resultOf({ stepsRun: 10 }) }, book);

    // 80 s x 1.861 / 3600 = 0.041355555556; 48 s are a seventy-fifth of an hour
    expect(saved).toBe(usd('0.041355555556') + spot / 75n);
  });

  test('machines that waited and started are in the loaded cost alone, wasted runs and all', () => {
    // 10 s x 1.861 / 3600 = 0.005169444444; 36 s = 0.01861; 180 s = 0.09305
    const usage: UsageRecord[] = [
      { ...generate, run: 'a', startedAt: 1, idleSeconds: 10, coldStartSeconds: 180 },
      { ...generate, run: 'b', startedAt: 2, idleSeconds: 36 },
    ];

    const cost = costOfJob({ usage }, book);

    // 2 x 20 s x 1.861 / 3600, each to the pico-dollar
    expect(cost.total).toBe(2n * usd('0.010338888889'));
    expect(cost.idle).toBe(usd('0.023779444444'));
    expect(cost.coldStart).toBe(usd('0.09305'));
    expect(cost.loaded).toBe(cost.total + usd('0.116829444444'));
  });

  test('nobody pays a machine of this kind to wait', () => {
    const usage: UsageRecord[] = [
      { ...generate, purchaseOption: 'embedded', idleSeconds: 10, coldStartSeconds: 10 },
    ];

    expect(costOfJob({ usage }, book)).toMatchObject({ idle: 0n, coldStart: 0n });
  });

  test.each(['idleSeconds', 'coldStartSeconds'])(
    '%s that cannot be are refused by name',
    (field) => {
      for (const seconds of [-1, NaN, Infinity, 1e9]) {
        const usage = [{ ...generate, [field]: seconds }];

        expect(() => costOfJob({ usage }, book)).toThrow(`generate.${field}`);
      }
    },
  );

  test('is by the prices of the day on which the video was asked for', () => {
    const hour = 'ec2.g6e.xlarge.on-demand';
    const price = book.prices.get(hour)!;
    const changed = {
      ...book,
      prices: new Map(book.prices).set(hour, {
        ...price,
        history: [{ until: '2026-11-15', amount: price.amount * 2n, source: 'the list before' }],
      }),
    };
    const on = (createdAt: string) => costOfJob({ usage: [generate], createdAt }, changed).total;

    expect(on('2026-11-14T23:59:59.999Z')).toBe(usd('0.020677777778'));
    expect(on('2026-11-15T00:00:00.000Z')).toBe(usd('0.010338888889'));
  });

  test('services are listed largest first and add up', () => {
    const usage: UsageRecord[] = [
      { step: 'commit', stateTransitions: 5, tableWriteUnits: 8, tableReadUnits: 2 },
      generate,
    ];

    const { services, total } = costOfJob({ usage }, book);

    expect(services.map(({ service }) => service)).toEqual(['ec2', 'states', 'dynamodb']);
    expect(services.reduce((sum, { amount }) => sum + amount, 0n)).toBe(total);
  });
});

describe('estimateCost', () => {
  const timing = { secondsPerEvaluation: 2, fixedSeconds: 10 };

  test('a full generation is its GPU seconds and little else', () => {
    // 10 s + 50 x 2 s = 110 s x 0.8048 / 3600 = 0.024591111111
    const estimate = estimateCost({ networkEvaluations: 50, timing }, book);

    expect(estimate.gpu).toBe(usd('0.024591111111'));
    expect(estimate.total - estimate.gpu).toBeLessThan(usd('0.0003'));
    expect(estimate.basis.isReference).toBe(true);
  });

  test('an exact hit needs no GPU', () => {
    const estimate = estimateCost({ networkEvaluations: 0, timing }, book);

    expect(estimate.gpu).toBe(0n);
    expect(estimate.total).toBeGreaterThan(0n);
  });

  test('covers the GPU of the job that it was made for, once its timing is measured', () => {
    const usage: UsageRecord[] = [
      {
        step: 'generate',
        gpuSeconds: 20,
        denoiseSeconds: 10,
        networkEvaluations: 5,
        instanceType: 'g6.xlarge',
        purchaseOption: 'spot',
      },
    ];
    const machine = { instanceType: 'g6.xlarge', purchaseOption: 'spot' } as const;

    const estimate = estimateCost(
      { networkEvaluations: 5, timing: measuredTiming(usage)!, machine },
      book,
    );

    expect(estimate.gpu).toBe(costOfJob({ usage }, book).gpu);
    expect(estimate.basis).toEqual({ ...machine, isReference: false });
  });

  test.each([-1, NaN, Infinity, 1e9])('%d network evaluations are refused', (count) => {
    expect(() => estimateCost({ networkEvaluations: count }, book)).toThrow(/networkEvaluations/);
  });

  test('a timing that cannot be is refused', () => {
    const asking = () =>
      estimateCost(
        { networkEvaluations: 1, timing: { secondsPerEvaluation: NaN, fixedSeconds: 0 } },
        book,
      );

    expect(asking).toThrow(/secondsPerEvaluation/);
  });
});

describe('measuredTiming', () => {
  test('tells the denoiser from the rest', () => {
    const records: UsageRecord[] = [
      { step: 'generate', gpuSeconds: 20, denoiseSeconds: 10, networkEvaluations: 5 },
      { step: 'generate', gpuSeconds: 40, denoiseSeconds: 20, networkEvaluations: 10 },
      { step: 'commit', stateTransitions: 5 },
    ];

    expect(measuredTiming(records)).toEqual({ secondsPerEvaluation: 2, fixedSeconds: 15 });
  });

  test('is of evaluations of all tokens', () => {
    const records: UsageRecord[] = [
      {
        step: 'generate',
        gpuSeconds: 20,
        denoiseSeconds: 10,
        networkEvaluations: 5,
        evaluationEquivalents: 2,
      },
      { step: 'generate', gpuSeconds: 40, denoiseSeconds: 20, networkEvaluations: 4 },
    ];

    expect(measuredTiming(records)).toEqual({ secondsPerEvaluation: 5, fixedSeconds: 15 });
  });

  test('is unknown before anything was made', () => {
    expect(measuredTiming([{ step: 'commit' }])).toBeNull();
    expect(ASSUMED_TIMING.secondsPerEvaluation).toBeGreaterThan(0);
  });
});
