import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { costOfJob, type PricedJob } from '#core/costs/cost.ts';
import { InvalidInputError } from '#core/errors.ts';
import type { HitKind, JobResult, UsageRecord } from '#core/generation.ts';
import { formatUsd, parseUsd } from '#core/pricing/money.ts';
import { parsePriceBook } from '#core/pricing/price-book-file.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import type { Holdings } from '#core/retention/retention-run.ts';
import { rentOfHoldings } from '#core/costs/storage-cost.ts';
import { costOfUsage } from '#core/costs/usage-cost.ts';

/*
 * Invoices worked out by hand. Amounts are dollars; each record's use of each price is rounded to the
 * pico-dollar (12 digits), half up. Prices are those of us-east-1 unless said:
 *
 *   lambda  0.0000166667 a GB-second, 0.0000002 a request     states  0.000025 a transition
 *   table   0.000000125 a read unit, 0.000000625 a write unit  sqs     0.0000004 a request
 *   s3      0.000005 a PUT, 0.0000004 a GET                    vectors 0.0000025 a query, 0.20 a GB put,
 *   g6e.xlarge 1.861 an hour, Spot 1.1975; g6.xlarge 0.8048            0.004 a TB read below 100,000
 */
const book = priceBookOf('us-east-1');
const usd = (text: string): bigint => parseUsd(text, 'expected');

/**
 * 0.256 s x 2 GB = 0.512 GB-s x 0.0000166667 = 0.00000853335; request 0.0000002; 1 write 0.000000625
 * = 0.00000935835
 */
const EMBED: UsageRecord = {
  step: 'embed',
  lambdaMilliseconds: 256,
  lambdaMegabytes: 2048,
  tableWriteUnits: 1,
};

/**
 * 0.512 s x 0.5 GB = 0.256 GB-s x 0.0000166667 = 0.000004266675; request 0.0000002;
 * 10 reads 0.00000125; 8 writes 0.000005; 3 queries 0.0000075;
 * 3 x 20,000 vectors x 2 KiB = 122,880,000 bytes / 2^40 x 0.004 = 0.000000447035
 * = 0.00001866371
 */
const LOOKUP: UsageRecord = {
  step: 'lookup',
  lambdaMilliseconds: 512,
  lambdaMegabytes: 512,
  tableReadUnits: 10,
  tableWriteUnits: 8,
  vectorQueries: 3,
  vectorBytesScanned: 122_880_000,
  vectorsScanned: 60_000,
};

/** 0.128 s x 0.5 GB = 0.064 GB-s x 0.0000166667 = 0.000001066669; request 0.0000002; 1 message 0.0000004 = 0.000001666669 */
const DISPATCH: UsageRecord = {
  step: 'dispatch',
  lambdaMilliseconds: 128,
  lambdaMegabytes: 512,
  queueRequests: 1,
};

/** 5 PUT 0.000025; 20 writes 0.0000125; 6 messages 0.0000024 = 0.0000399, without GPU and GETs */
const GENERATE = {
  step: 'generate',
  objectPuts: 5,
  tableWriteUnits: 20,
  queueRequests: 6,
} as const;

/**
 * 0.5 s x 0.5 GB = 0.25 GB-s x 0.0000166667 = 0.000004166675; request 0.0000002; 4 reads 0.0000005;
 * 15 writes 0.000009375; one put of vectors, 128 KB at least: 0.20 / 8192 = 0.000024414063;
 * 5 transitions 0.000125
 * = 0.000163655738
 */
const COMMIT: UsageRecord = {
  step: 'commit',
  lambdaMilliseconds: 500,
  lambdaMegabytes: 512,
  tableReadUnits: 4,
  tableWriteUnits: 15,
  vectorPuts: 3,
  vectorBytesPut: 131_072,
  stateTransitions: 5,
};

/** As COMMIT without vectors: 0.000004166675 + 0.0000002 + 0.0000005; 10 writes 0.00000625; 4 transitions 0.0001 = 0.000111116675 */
const COMMIT_EXACT: UsageRecord = {
  step: 'commit',
  lambdaMilliseconds: 500,
  lambdaMegabytes: 512,
  tableReadUnits: 4,
  tableWriteUnits: 10,
  stateTransitions: 4,
};

function resultOf(hit: HitKind, stepsRun: number, changes: Partial<JobResult> = {}): JobResult {
  return {
    hit,
    donors: [],
    startTime: 1,
    stepsRun,
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

interface Work {
  gpuSeconds: number;
  denoiseSeconds: number;
  networkEvaluations: number;
  objectGets?: number;
}

const ON_DEMAND = { instanceType: 'g6e.xlarge', purchaseOption: 'on-demand' } as const;
const SPOT = { instanceType: 'g6e.xlarge', purchaseOption: 'spot' } as const;
const EMBEDDED = { instanceType: 'embedded', purchaseOption: 'embedded' } as const;

function made(hit: HitKind, work: Work, machine: Partial<UsageRecord>): PricedJob {
  return {
    usage: [EMBED, LOOKUP, DISPATCH, { ...GENERATE, ...work, ...machine }, COMMIT],
    result: resultOf(hit, work.networkEvaluations),
    createdAt: '2026-11-22T12:00:00.000Z',
  };
}

/*
 * Everything but the GPU and GETs of a video that was made:
 * 0.00000935835 + 0.00001866371 + 0.000001666669 + 0.0000399 + 0.000163655738 = 0.000233244467
 */
describe('a video costs, by its hit and how its machine was bought', () => {
  test.each<[string, PricedJob, { gpu: string; total: string; saved: string }]>([
    [
      'a miss on demand: 120 s x 1.861 / 3600 = 0.062033333333; nothing saved',
      made('miss', { gpuSeconds: 120, denoiseSeconds: 100, networkEvaluations: 50 }, ON_DEMAND),
      { gpu: '0.062033333333', total: '0.0622665778', saved: '0' },
    ],
    [
      // 30 evaluations less, 35 / 20 s each: 52.5 s x 1.1975 / 3600 = 0.017463541667
      'an object on Spot: 40 s x 1.1975 / 3600 = 0.013305555556, 1 GET 0.0000004',
      made(
        'object',
        { gpuSeconds: 40, denoiseSeconds: 35, networkEvaluations: 20, objectGets: 1 },
        SPOT,
      ),
      { gpu: '0.013305555556', total: '0.013539200023', saved: '0.017463541667' },
    ],
    [
      // 42 evaluations less, 16 / 8 s each: 84 s x 0.8048 / 3600 = 0.018778666667
      'a background on this machine: 20 s as g6.xlarge on demand, 20 x 0.8048 / 3600 = 0.004471111111, 1 GET',
      made(
        'background',
        { gpuSeconds: 20, denoiseSeconds: 16, networkEvaluations: 8, objectGets: 1 },
        EMBEDDED,
      ),
      { gpu: '0.004471111111', total: '0.004704755578', saved: '0.018778666667' },
    ],
    [
      // 45 less, 10 / 5 s each: 90 s x 1.861 / 3600 = 0.046525
      'both parts on demand: 15 s x 1.861 / 3600 = 0.007754166667, 2 GET 0.0000008',
      made(
        'object+background',
        { gpuSeconds: 15, denoiseSeconds: 10, networkEvaluations: 5, objectGets: 2 },
        ON_DEMAND,
      ),
      { gpu: '0.007754166667', total: '0.007988211134', saved: '0.046525' },
    ],
    [
      // 47 less, 6 / 3 s each: 94 s x 1.1975 / 3600 = 0.031268055556
      'the whole on Spot: 9 s x 1.1975 / 3600 = 0.00299375, 1 GET',
      made(
        'whole',
        { gpuSeconds: 9, denoiseSeconds: 6, networkEvaluations: 3, objectGets: 1 },
        SPOT,
      ),
      { gpu: '0.00299375', total: '0.003227394467', saved: '0.031268055556' },
    ],
  ])('%s', (_, job, { gpu, total, saved }) => {
    const cost = costOfJob(job, book);

    expect(formatUsd(cost.gpu, 12)).toBe(formatUsd(usd(gpu), 12));
    expect(formatUsd(cost.total, 12)).toBe(formatUsd(usd(total), 12));
    expect(formatUsd(cost.saved, 12)).toBe(formatUsd(usd(saved), 12));
    expect(cost.full).toBe(cost.total + cost.saved);
    expect([cost.wasted, cost.idle, cost.coldStart]).toEqual([0n, 0n, 0n]);
  });

  test('an exact hit: no GPU; saved is what its video would take again', () => {
    // 0.00000935835 + 0.00001866371 + 0.000111116675 = 0.000139138735
    // 13 s + (50 - 5) x 10 / 5 s = 103 s as g6.xlarge: 103 x 0.8048 / 3600 = 0.023026222222
    const replaced = { gpuSeconds: 13, denoiseSeconds: 10, networkEvaluations: 5 };
    const cost = costOfJob(
      {
        usage: [EMBED, LOOKUP, COMMIT_EXACT],
        result: resultOf('exact', 0, { replaced }),
        createdAt: '2026-11-22T12:00:00.000Z',
      },
      book,
    );

    expect(cost.gpu).toBe(0n);
    expect(cost.total).toBe(usd('0.000139138735'));
    expect(cost.saved).toBe(usd('0.023026222222'));
  });

  test('with what its machine waited and started for beside it', () => {
    // 36 s x 1.861 / 3600 = 0.01861 idle; 180 s x 1.861 / 3600 = 0.09305 started
    const job = made(
      'miss',
      { gpuSeconds: 120, denoiseSeconds: 100, networkEvaluations: 50 },
      { ...ON_DEMAND, idleSeconds: 36, coldStartSeconds: 180 },
    );
    const cost = costOfJob(job, book);

    expect([cost.idle, cost.coldStart]).toEqual([usd('0.01861'), usd('0.09305')]);
    // 0.0622665778 + 0.01861 + 0.09305
    expect(cost.loaded).toBe(usd('0.1739265778'));
  });

  test('in Ireland, by the prices of Ireland', () => {
    // 72 s of g5.xlarge on demand: 72 x 1.123 / 3600 = 0.02246;
    // 8 writes x 0.000000705 = 0.00000564; 10 reads x 0.0000001415 = 0.000001415
    const usage: UsageRecord[] = [
      {
        step: 'generate',
        gpuSeconds: 72,
        instanceType: 'g5.xlarge',
        purchaseOption: 'on-demand',
        tableWriteUnits: 8,
        tableReadUnits: 10,
      },
    ];

    expect(costOfJob({ usage }, priceBookOf('eu-west-1')).total).toBe(usd('0.022467055'));
  });
});

describe('a donor is read', () => {
  const read = (record: Partial<UsageRecord>): bigint =>
    costOfUsage([{ step: 'generate', ...record }], book).total;
  const bytes = 4 * 2 ** 20;

  test.each<[string, Partial<UsageRecord>, string]>([
    [
      'in Standard or Intelligent-Tiering: a GET',
      { objectGets: 1, objectBytesRead: bytes },
      '0.0000004',
    ],
    [
      'in Standard-IA: 0.000001 + 4 MiB = 1/256 GB x 0.01 = 0.0000390625',
      { objectGets: 1, infrequentAccessGets: 1, infrequentAccessBytes: bytes },
      '0.0000400625',
    ],
    [
      'in Glacier Instant Retrieval: 0.00001 + 1/256 GB x 0.03 = 0.0001171875',
      { objectGets: 1, instantRetrievalGets: 1, instantRetrievalBytes: bytes },
      '0.0001271875',
    ],
    [
      'one of each: 0.0000004 + 0.0000400625 + 0.0001271875',
      {
        objectGets: 3,
        infrequentAccessGets: 1,
        infrequentAccessBytes: bytes,
        instantRetrievalGets: 1,
        instantRetrievalBytes: bytes,
      },
      '0.00016765',
    ],
  ])('%s', (_, record, expected) => {
    expect(read(record)).toBe(usd(expected));
  });
});

describe('a large index is read', () => {
  test.each<[string, number, string]>([
    // 40,000 x 2 KiB = 81,920,000 / 2^40 x 0.004 = 0.000000298023; query 0.0000025
    ['40,000 vectors, all in the first tier', 40_000, '0.000002798023'],
    // 100,000 x 2 KiB / 2^40 x 0.004 = 0.000000745058; 900,000 x 2 KiB / 2^40 x 0.002 = 0.000003352761
    ['a million, in two', 1_000_000, '0.000006597819'],
    // 0.000000745058; 9,900,000 x 2 KiB / 2^40 x 0.002 = 0.000036880374; 10,000,000 x 2 KiB / 2^40 x 0.0004 = 0.000007450581
    ['twenty millions, in three', 20_000_000, '0.000047576013'],
  ])('%s', (_, vectors, expected) => {
    const record: UsageRecord = {
      step: 'lookup',
      vectorQueries: 1,
      vectorsScanned: vectors,
      vectorBytesScanned: vectors * 2048,
    };

    expect(costOfUsage([record], book).total).toBe(usd(expected));
  });

  test('twenty millions cost more before June 2026', () => {
    const job: PricedJob = {
      usage: [
        {
          step: 'lookup',
          vectorQueries: 1,
          vectorsScanned: 20_000_000,
          vectorBytesScanned: 20_000_000 * 2048,
        },
      ],
      createdAt: '2026-06-15T23:59:59.999Z',
    };
    const cost = (createdAt: string): bigint => costOfJob({ ...job, createdAt }, book).total;

    // 0.0000025 + 0.000000745058 + 19,900,000 x 2 KiB / 2^40 x 0.002, of which 0.000036880374 and 0.000037252903
    expect(cost('2026-06-15T23:59:59.999Z')).toBe(usd('0.000077378335'));
    expect(cost('2026-06-16T00:00:00.000Z')).toBe(usd('0.000047576013'));
  });
});

describe('a month of a cache of 100,000 entries', () => {
  const MIB = 2 ** 20;
  const latents = (count: number) => ({
    count,
    bytes: count * 4 * MIB,
    billedBytes: count * 4 * MIB,
  });
  const holdings: Holdings = {
    entries: 100_000,
    latents: {
      'intelligent-tiering.frequent': latents(60_000),
      'intelligent-tiering.infrequent': latents(25_000),
      'intelligent-tiering.archive-instant': latents(10_000),
      'standard-ia': latents(3_000),
      'glacier-ir': latents(2_000),
    },
    monitoredLatents: 95_000,
    videoBytes: 100_000 * MIB,
    vectorBytes: 100_000 * 5 * 1024,
    itemBytes: 100_000 * 8 * 1024,
  };

  test('is its latents by tier, their monitoring, its videos, vectors and records', () => {
    const { items, total } = rentOfHoldings(holdings, book);

    expect(Object.fromEntries(items.map(({ priceId, amount }) => [priceId, amount]))).toEqual({
      // 234.375 GB x 0.023
      's3.storage.intelligent-tiering.frequent': usd('5.390625'),
      // 97.65625 GB x 0.0125
      's3.storage.intelligent-tiering.infrequent': usd('1.220703125'),
      // 39.0625 GB x 0.004
      's3.storage.intelligent-tiering.archive-instant': usd('0.15625'),
      // 11.71875 GB x 0.0125
      's3.storage.standard-ia': usd('0.146484375'),
      // 7.8125 GB x 0.004
      's3.storage.glacier-ir': usd('0.03125'),
      // 95,000 x 0.0000025
      's3.monitored-object': usd('0.2375'),
      // 97.65625 GB x 0.023
      's3.storage.standard': usd('2.24609375'),
      // 0.476837158203125 GB x 0.06
      's3vectors.storage': usd('0.028610229492'),
      // 0.762939453125 GB x 0.25, and x 0.20
      'dynamodb.storage': usd('0.190734863281'),
      'dynamodb.point-in-time-recovery': usd('0.152587890625'),
    });
    expect(total).toBe(usd('9.800839233398'));
  });

  test('differs in Ireland by what DynamoDB asks there', () => {
    // 0.762939453125 GB x 0.283 = 0.215911865234 and x 0.22 = 0.167846679688,
    // for 0.190734863281 and 0.152587890625: 0.040435791016 more
    expect(rentOfHoldings(holdings, priceBookOf('eu-west-1')).total).toBe(usd('9.841275024414'));
  });
});

describe('a video is priced by the day, UTC, on which it was asked for', () => {
  async function bookWithChange() {
    const path = new URL('../../../layers/core/pricing/prices/us-east-1.json', import.meta.url);
    const file = JSON.parse(await readFile(path, 'utf8')) as {
      prices: Record<string, Record<string, unknown>>;
    };
    const past = { usd: '1.00', until: '2028-02-29', source: 'an earlier list' };
    file.prices['ec2.g6.xlarge.on-demand']!['history'] = [past];
    return parsePriceBook(file);
  }

  test.each([
    ['the last moment of 28 February 2028', '2028-02-28T23:59:59.999Z', '1.00'],
    ['the leap day on which the price changes', '2028-02-29T00:00:00.000Z', '0.8048'],
    ['the day after it', '2028-03-01T00:00:00.000Z', '0.8048'],
    ['the end of a month before', '2027-12-31T23:59:59.999Z', '1.00'],
  ])('%s', async (_, createdAt, expected) => {
    const usage: UsageRecord[] = [
      {
        step: 'generate',
        gpuSeconds: 3600,
        instanceType: 'g6.xlarge',
        purchaseOption: 'on-demand',
        // When the work was done does not matter: the price is the one that was known when it was asked for.
        startedAt: Date.parse('2028-03-02T00:00:00Z'),
      },
    ];

    expect(costOfJob({ usage, createdAt }, await bookWithChange()).total).toBe(usd(expected));
  });
});

describe('what cannot have been measured becomes no money', () => {
  test.each<[string, Partial<UsageRecord>]>([
    ['generate.gpuSeconds', { gpuSeconds: -1, ...ON_DEMAND }],
    ['generate.gpuSeconds', { gpuSeconds: NaN, ...ON_DEMAND }],
    ['generate.gpuSeconds', { gpuSeconds: 1e9, ...ON_DEMAND }],
    ['generate.idleSeconds', { gpuSeconds: 1, idleSeconds: -1, ...ON_DEMAND }],
    ['generate.coldStartSeconds', { gpuSeconds: 1, coldStartSeconds: NaN, ...ON_DEMAND }],
    ['generate.objectGets', { objectGets: 1, infrequentAccessGets: 2 }],
    ['generate.infrequentAccessBytes', { infrequentAccessBytes: -1 }],
    ['generate.instantRetrievalGets', { instantRetrievalGets: NaN }],
    ['generate.vectorBytesScanned', { vectorBytesScanned: Infinity }],
    ['generate.vectorsScanned', { vectorQueries: 1, vectorsScanned: -5 }],
    ['generate.vectorBytesPut', { vectorBytesPut: 1e30 }],
    ['ec2.p9.xlarge.spot', { gpuSeconds: 1, instanceType: 'p9.xlarge', purchaseOption: 'spot' }],
  ])('%s of %j', (named, record) => {
    const asking = () => costOfJob({ usage: [{ step: 'generate', ...record }] }, book);

    expect(asking).toThrow(named);
  });

  test('is told from a fault of ours', () => {
    expect(() => costOfJob({ usage: [{ step: 'commit', tableReadUnits: -1 }] }, book)).toThrow(
      InvalidInputError,
    );
  });
});
