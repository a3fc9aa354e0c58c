import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { costOfJob } from '#core/costs/cost.ts';
import type { HitKind, Job, UsageRecord } from '#core/generation.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { bookOn, priceBookOf, type PriceBook, type PriceId } from '#core/pricing/prices.ts';
import { GROUPINGS } from '#core/reports/grouping.ts';
import { makeReport } from '#core/reports/report.ts';
import { SumsOf, type Sums } from '#core/reports/sums.ts';
import type { VideoLine } from '#core/reports/video-line.ts';
import { sampleJob, sampleResult } from '../../aws/samples.ts';
import { questionOf, sourcesOf, worked } from './sample-sources.ts';

const BOOK = priceBookOf('us-east-1');
const NOVEMBER = { from: '2026-11-01', to: '2026-11-30' };

const HITS: readonly HitKind[] = ['miss', 'background', 'object', 'whole', 'exact'];

/** Any amounts, as floating point has them. */
const usage: fc.Arbitrary<UsageRecord[]> = fc
  .array(
    fc.record({
      step: fc.constantFrom('embed', 'lookup', 'generate', 'commit', 'fail'),
      attempt: fc.integer({ min: 1, max: 3 }),
      run: fc.string({ minLength: 1, maxLength: 3 }),
      startedAt: fc.nat(),
      lambdaMilliseconds: fc.nat({ max: 900_000 }),
      lambdaMegabytes: fc.constantFrom(512, 1769),
      tableReadUnits: fc.double({ min: 0, max: 100, noNaN: true }),
      tableWriteUnits: fc.nat({ max: 100 }),
      objectPuts: fc.nat({ max: 9 }),
      vectorQueries: fc.nat({ max: 9 }),
      queueRequests: fc.nat({ max: 99 }),
      gpuSeconds: fc.double({ min: 0, max: 5000, noNaN: true }),
      idleSeconds: fc.double({ min: 0, max: 900, noNaN: true }),
      coldStartSeconds: fc.nat({ max: 300 }),
      instanceType: fc.constantFrom('g6.xlarge', 'g5.xlarge'),
      purchaseOption: fc.constantFrom('on-demand', 'spot', 'embedded'),
      networkEvaluations: fc.nat({ max: 50 }),
    }),
    { maxLength: 6 },
  )
  .map((records) => records as UsageRecord[]);

const jobs: fc.Arbitrary<Job[]> = fc.array(
  fc
    .record({
      usage,
      day: fc.integer({ min: 1, max: 30 }),
      tenant: fc.constantFrom('acme', 'initech', 'hooli'),
      modelRevision: fc.constantFrom('one', 'two'),
      backfill: fc.constantFrom(null, { backfillId: 'bkf_1', line: 1 }),
      status: fc.constantFrom('queued', 'running', 'completed', 'failed', 'cancelled'),
      hit: fc.constantFrom(...HITS),
    })
    .map(({ day, hit, ...job }) =>
      sampleJob({
        ...(job as Partial<Job>),
        createdAt: `2026-11-${String(day).padStart(2, '0')}T23:59:59.999Z`,
        ...(job.status === 'completed' && { result: sampleResult({ hit }) }),
      }),
    ),
  { maxLength: 25 },
);

const MONEY = [
  'gpu',
  'requests',
  'total',
  'wasted',
  'idle',
  'coldStart',
  'loaded',
  'full',
  'saved',
] as const;

function moneyOf(sums: Sums): Record<string, bigint> {
  return Object.fromEntries(MONEY.map((field) => [field, sums[field]]));
}

describe('a report', () => {
  test('adds up to the sum of its videos to the pico-dollar, however it is grouped', async () => {
    await fc.assert(
      fc.asyncProperty(jobs, fc.constantFrom(...GROUPINGS), async (all, by) => {
        // Act
        const lines: VideoLine[] = [];
        const report = await makeReport(
          sourcesOf({ jobs: all }),
          questionOf({ by, range: NOVEMBER }),
          (line) => {
            lines.push(line);
          },
        );

        // Assess
        const costs = all.map((job) => costOfJob(job, BOOK));
        const sum = (field: 'total' | 'gpu' | 'wasted' | 'loaded' | 'full' | 'saved'): bigint =>
          costs.reduce((total, cost) => total + cost[field], 0n);
        for (const field of ['total', 'gpu', 'wasted', 'loaded', 'full', 'saved'] as const) {
          expect(report.videos[field]).toBe(sum(field));
        }
        expect(report.all).toBe(sum('loaded'));
        expect(lines).toHaveLength(all.length);
        const groups =
          by === 'video'
            ? lines.map((line) => new SumsOf().add(line))
            : report.groups.map(({ sums }) => sums);
        for (const field of MONEY) {
          expect(groups.reduce((total, sums) => total + sums[field], 0n)).toBe(
            report.videos[field],
          );
        }
        for (const parts of [
          report.days.map(({ videos }) => videos),
          report.hits.map(({ sums }) => sums),
          report.tenants.map(({ sums }) => sums),
        ]) {
          const together = parts.reduce((total, sums) => total + sums.loaded, 0n);
          expect(together).toBe(report.videos.loaded);
        }
        for (const sums of [report.videos, ...groups]) {
          expect(sums.gpu + sums.requests).toBe(sums.total);
          expect(sums.total + sums.idle + sums.coldStart).toBe(sums.loaded);
          expect(sums.full - sums.total).toBe(sums.saved);
          expect([...sums.services.values()].reduce((total, amount) => total + amount, 0n)).toBe(
            sums.total,
          );
        }
      }),
      { numRuns: 100 },
    );
  });

  test('the report of a tenant is its group of the whole, without what belongs to nobody', async () => {
    await fc.assert(
      fc.asyncProperty(jobs, async (all) => {
        const sources = sourcesOf({
          jobs: all,
          tails: [
            { day: '2026-11-03', instanceType: 'g6.xlarge', purchaseOption: 'spot', seconds: 60 },
          ],
        });

        const whole = await makeReport(sources, questionOf({ by: 'tenant', range: NOVEMBER }));
        const own = await makeReport(sources, questionOf({ range: NOVEMBER, tenant: 'acme' }));

        const group = whole.groups.find(({ key }) => key === 'acme')?.sums ?? new SumsOf();
        expect(moneyOf(own.videos)).toEqual(moneyOf(group));
        expect(own).toMatchObject({ tails: null, storage: null, all: group.loaded });
        expect(whole.tails).toBeGreaterThan(0n);
      }),
      { numRuns: 30 },
    );
  });

  test('a worked example: two videos, one of them repeated, a machine that waited and one that nobody used', async () => {
    // g6.xlarge On-Demand is $0.8048 an hour: 3600 s are $0.8048, 900 s $0.2012, 360 s $0.08048.
    const useful = sampleJob({
      tenant: 'acme',
      createdAt: '2026-11-05T10:00:00.000Z',
      status: 'completed',
      result: sampleResult({ hit: 'miss', stepsRun: 10, fullSteps: 10 }),
      usage: [
        worked(900, { run: 'first', startedAt: 1 }),
        worked(3600, { run: 'second', startedAt: 2, idleSeconds: 360 }),
      ],
    });
    const failed = sampleJob({
      tenant: 'initech',
      createdAt: '2026-11-06T10:00:00.000Z',
      status: 'failed',
      usage: [worked(360)],
    });
    const tail = {
      day: '2026-11-07',
      instanceType: 'g6.xlarge',
      purchaseOption: 'on-demand',
      seconds: 1800,
    } as const;

    const report = await makeReport(
      sourcesOf({ jobs: [useful, failed], tails: [tail] }),
      questionOf({ by: 'day', range: NOVEMBER }),
    );

    const usd = (text: string): bigint => parseUsd(text, 'expected');
    // 0.8048 + 0.2012 + 0.08048
    expect(report.videos.total).toBe(usd('1.08648'));
    // the first run, and all of the failed video: 0.2012 + 0.08048
    expect(report.videos.wasted).toBe(usd('0.28168'));
    expect(report.videos.idle).toBe(usd('0.08048'));
    expect(report.tails).toBe(usd('0.4024'));
    // 1.08648 + 0.08048 + 0.4024
    expect(report.all).toBe(usd('1.56936'));
    expect(report.groups.map(({ key }) => key)).toEqual(['2026-11-05', '2026-11-06']);
    expect(report.days.find(({ day }) => day === '2026-11-07')?.tails).toBe(usd('0.4024'));
    expect(report.prices.map(({ id }) => id)).toEqual(['ec2.g6.xlarge.on-demand']);
  });

  test('prices a video by the day on which it was asked for, in UTC', async () => {
    // Until 16 November an hour was twice as much.
    const id: PriceId = 'ec2.g6.xlarge.on-demand';
    const price = BOOK.prices.get(id)!;
    const history = [{ amount: 2n * price.amount, until: '2026-11-16', source: 'before' }];
    const book: PriceBook = {
      ...BOOK,
      prices: new Map([...BOOK.prices, [id, { ...price, history }]]),
    };
    const at = (createdAt: string): Job =>
      sampleJob({ createdAt, usage: [worked(3600)], status: 'completed' });

    const report = await makeReport(
      sourcesOf({ jobs: [at('2026-11-15T23:59:59.999Z'), at('2026-11-16T00:00:00.000Z')] }),
      questionOf({ book, bookOf: (day) => bookOn(book, day), range: NOVEMBER }),
    );

    expect(report.groups.map(({ key, sums }) => [key, sums.total])).toEqual([
      ['2026-11-15', 2n * price.amount],
      ['2026-11-16', price.amount],
    ]);
    expect(report.prices.map(({ amount, from }) => [amount, from])).toEqual([
      [2n * price.amount, '2026-11-15'],
      [price.amount, '2026-11-16'],
    ]);
  });

  test('counts costs of completed videos in bins that touch', async () => {
    const of = (gpuSeconds: number, status: Job['status'] = 'completed'): Job =>
      sampleJob({ createdAt: '2026-11-01T00:00:00.000Z', status, usage: [worked(gpuSeconds)] });

    const { histogram } = await makeReport(
      // $0.0002 is not below itself any more.
      sourcesOf({ jobs: [of(0), of(3600), of(3600), of(9, 'failed')] }),
      questionOf({ range: NOVEMBER }),
    );

    expect(histogram[0]).toEqual({ from: 0n, below: 1_000_000n, count: 1 });
    expect(histogram.at(-1)).toEqual({
      from: parseUsd('0.5', 'bin'),
      below: parseUsd('1', 'bin'),
      count: 2,
    });
    expect(histogram.reduce((sum, { count }) => sum + count, 0)).toBe(3);
    histogram.slice(1).forEach((bin, index) => expect(bin.from).toBe(histogram[index]!.below));
  });

  test.each([
    [{ gpuSeconds: Number.NaN }, 'gpuSeconds'],
    [{ gpuSeconds: -1 }, 'gpuSeconds'],
    [{ tableReadUnits: -0.5 }, 'tableReadUnits'],
    [{ gpuSeconds: 1, instanceType: 'g99.xlarge' }, 'g99.xlarge'],
  ])('a ledger with %j is refused by name, not reported', async (changes, named) => {
    const job = sampleJob({ createdAt: '2026-11-01T00:00:00.000Z', usage: [worked(1, changes)] });

    const making = makeReport(sourcesOf({ jobs: [job] }), questionOf({ range: NOVEMBER }));

    await expect(making).rejects.toThrow(named);
  });

  test('of no days with anything everything is zero', async () => {
    const report = await makeReport(sourcesOf({}), questionOf({ range: NOVEMBER }));

    expect(report).toMatchObject({ all: 0n, tails: 0n, storage: 0n, groups: [], histogram: [] });
    expect(report.days).toHaveLength(30);
  });
});
