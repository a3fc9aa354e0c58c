import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { startOfDay } from '#core/day.ts';
import { bookOn, priceBookOf, type PriceBook } from '#core/pricing/prices.ts';
import { daysOf, type DayRange } from '#core/reports/day-range.ts';
import { makeReport } from '#core/reports/report.ts';
import { StorageMeter, type StorageDay } from '#core/reports/storage-rent.ts';
import type { RetentionRun } from '#core/retention/retention-run.ts';
import { rentOfHoldings } from '#core/costs/storage-cost.ts';
import { measured, questionOf, sourcesOf } from './sample-sources.ts';

const BOOK = priceBookOf('us-east-1');
const GB = 2 ** 30;

/** 100 GB of Standard: $2.30 a month at $0.023 a GB. */
const HUNDRED = { videoBytes: 100 * GB };

function rentOf(
  range: DayRange,
  runs: readonly RetentionRun[],
  {
    before = [],
    now = Date.parse('2030-01-01'),
    book = BOOK,
  }: { before?: readonly RetentionRun[]; now?: number; book?: PriceBook } = {},
): StorageDay[] {
  const meter = new StorageMeter(before);
  return [...daysOf(range)].map((day) =>
    meter.day(
      day,
      runs.filter(({ startedAt }) => startedAt.startsWith(day)),
      bookOn(book, day),
      now,
    ),
  );
}

const sum = (days: readonly StorageDay[]): bigint =>
  days.reduce((total, { amount }) => total + amount, 0n);

describe('storage rent', () => {
  test.each([
    ['2026-11', 30],
    ['2026-12', 31],
    ['2026-02', 28],
    ['2024-02', 29],
  ])('a whole month of %s, which has %i days, costs a month', (month, length) => {
    const range = { from: `${month}-01`, to: `${month}-${length}` };

    const days = rentOf(range, [], { before: [measured('2020-01-31T12:00:00.000Z', HUNDRED)] });

    const rent = rentOfHoldings(measured('', HUNDRED).holdings!, BOOK).total;
    expect(days).toHaveLength(length);
    // Each day rounds by itself, by half a pico-dollar at most.
    expect(Number(sum(days) - rent)).toBeCloseTo(0, -2);
    expect(sum(days) - rent).toBeLessThanOrEqual(BigInt(length));
    expect(rent).toBe(2_300_000_000_000n);
  });

  test('what a pass finds is kept from its end to the end of the next', () => {
    // $2.30 a month of 30 days is $0.0766667 a day, and $2.53 is $0.0843333.
    const runs = [
      measured('2026-11-10T06:00:00.000Z', HUNDRED),
      measured('2026-11-10T18:00:00.000Z', { videoBytes: 110 * GB }),
    ];

    const [before, on, after] = rentOf({ from: '2026-11-09', to: '2026-11-11' }, runs);

    expect(before).toMatchObject({ amount: 0n, measuredMilliseconds: 0, holdings: null });
    // 12 h of 2.30 and 6 h of 2.53, of 720 h: 0.038333333333 + 0.021083333333
    expect(on!.amount).toBe(38_333_333_333n + 21_083_333_333n);
    expect(on).toMatchObject({
      measuredMilliseconds: 18 * 3_600_000,
      milliseconds: 24 * 3_600_000,
    });
    expect(after!.amount).toBe(84_333_333_333n);
    expect(after!.holdings?.videoBytes).toBe(110 * GB);
  });

  test('each day is charged by its own prices', () => {
    const id = 's3.storage.standard';
    const price = BOOK.prices.get(id)!;
    const history = [{ amount: 2n * price.amount, until: '2026-11-11', source: 'before' }];
    const book: PriceBook = {
      ...BOOK,
      prices: new Map([...BOOK.prices, [id, { ...price, history }]]),
    };

    const [dear, cheap] = rentOf({ from: '2026-11-10', to: '2026-11-11' }, [], {
      before: [measured('2026-11-01T00:00:00.000Z', HUNDRED)],
      book,
    });

    expect(dear!.amount).toBe(153_333_333_333n);
    expect(cheap!.amount).toBe(76_666_666_667n);
  });

  test('nothing is charged for what has not come yet', () => {
    const now = Date.parse('2026-11-22T12:00:00Z');

    const [today] = rentOf({ from: '2026-11-22', to: '2026-11-22' }, [], {
      before: [measured('2026-11-01T00:00:00.000Z', HUNDRED)],
      now,
    });

    expect(today!.amount).toBe(38_333_333_333n);
    expect(today!.milliseconds).toBe(12 * 3_600_000);
  });

  test('a pass that went on over midnight measures the next day', () => {
    const run = measured(
      '2026-11-11T00:10:00.000Z',
      { videoBytes: 0 },
      { startedAt: '2026-11-10T23:50:00.000Z' },
    );

    const [first, second] = rentOf({ from: '2026-11-10', to: '2026-11-11' }, [run], {
      before: [measured('2026-11-01T00:00:00.000Z', HUNDRED)],
    });

    expect(first!.amount).toBe(76_666_666_667n);
    // Ten minutes of 43,200: 2.30 / 4320
    expect(second!.amount).toBe(532_407_407n);
  });

  test('passes that did not get through, and sweeps, measure nothing; dry runs do', () => {
    const runs = [
      measured('2026-11-10T00:00:00.000Z', HUNDRED, { isDryRun: true }),
      measured('2026-11-10T01:00:00.000Z', { videoBytes: 0 }, { isComplete: false }),
      {
        ...measured('2026-11-10T02:00:00.000Z', {}, { kind: 'sweep' }),
        holdings: undefined,
      } as unknown as RetentionRun,
    ];

    const [day] = rentOf({ from: '2026-11-10', to: '2026-11-10' }, runs);

    expect(day!.amount).toBe(76_666_666_667n);
  });

  test('however often it is measured, what stays the same costs the same but for rounding', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 86_399 }), { maxLength: 30 }), (seconds) => {
        const at = (second: number): string =>
          new Date(startOfDay('2026-11-10') + second * 1000).toISOString();
        const before = [measured('2026-11-01T00:00:00.000Z', HUNDRED)];

        const [day] = rentOf(
          { from: '2026-11-10', to: '2026-11-10' },
          seconds.map((second) => measured(at(second), HUNDRED)),
          { before },
        );

        expect(Math.abs(Number(day!.amount - 76_666_666_667n))).toBeLessThanOrEqual(
          seconds.length + 1,
        );
        expect(day!.measuredMilliseconds).toBe(86_400_000);
      }),
    );
  });

  test('a report looks back for what was kept when its days began', async () => {
    const sources = sourcesOf({ runs: [measured('2026-10-05T00:00:00.000Z', HUNDRED)] });
    const range = { from: '2026-11-01', to: '2026-11-30' };

    const near = await makeReport(sources, questionOf({ range }));
    const far = await makeReport(
      sources,
      questionOf({ range: { from: '2026-12-01', to: '2026-12-01' } }),
    );

    expect(Number(near.storage!) / 1e12).toBeCloseTo(2.3, 9);
    expect(far.storage).toBe(0n);
    expect(far.days[0]!.storage!.measuredMilliseconds).toBe(0);
  });
});
