import { addDays } from '../day.ts';
import { formatUsd } from './money.ts';
import { machineOfPriceId, PRICE_IDS } from './price-ids.ts';
import type { Price, PriceBook } from './prices.ts';

export interface PriceFinding {
  region: string;
  priceId: string;
  /** `stale` and `uncertain` are warnings; the others are errors. */
  kind: 'missing' | 'future' | 'implausible' | 'stale' | 'uncertain';
  message: string;
}

/** Returns whether a finding is an error. */
export function isWrong({ kind }: PriceFinding): boolean {
  return kind !== 'stale' && kind !== 'uncertain';
}

export interface PriceCheckOptions {
  /** `2026-11-22`, UTC. */
  today: string;
  /** Months without a check after which a price is `stale`. */
  staleMonths: number;
}

/** Maximum plausible price ratio between regions; Spot markets vary more. */
const MAX_TIMES = { listed: 2n, spot: 5n };

const DAYS_PER_MONTH = 30;

/**
 * Checks price books: finds prices that are missing, dated in the future, out of proportion with other
 * regions, Spot but above On-Demand, stale, or uncertain.
 */
export function checkPrices(
  books: readonly PriceBook[],
  { today, staleMonths }: PriceCheckOptions,
): PriceFinding[] {
  const oldest = addDays(today, -staleMonths * DAYS_PER_MONTH);
  return books.flatMap((book) => [
    ...missing(book),
    ...[...book.prices.values()].flatMap((price) => [
      ...dated(book, price, { today, oldest }),
      ...proportionate(book, price, books),
      ...belowOnDemand(book, price),
    ]),
  ]);
}

function missing({ region, prices }: PriceBook): PriceFinding[] {
  const machines = [...prices.values()].filter(({ id }) => machineOfPriceId(id) !== null);
  const absent = PRICE_IDS.filter((id) => !prices.has(id));
  const unbought = machines.flatMap(({ id }) => {
    const { instanceType } = machineOfPriceId(id)!;
    return (['on-demand', 'spot'] as const)
      .map((option) => `ec2.${instanceType}.${option}`)
      .filter((other) => !prices.has(other));
  });
  return [...absent, ...new Set(unbought)].map((priceId) => ({
    region,
    priceId,
    kind: 'missing',
    message: 'is not in the book',
  }));
}

function dated(
  { region }: PriceBook,
  { id, asOf, history = [], uncertain, source }: Price,
  { today, oldest }: { today: string; oldest: string },
): PriceFinding[] {
  const finding = (kind: PriceFinding['kind'], message: string): PriceFinding => ({
    region,
    priceId: id,
    kind,
    message,
  });
  // A month counts as its first day in comparisons with today, and as its last day for its age.
  const first = asOf.length === 7 ? `${asOf}-01` : asOf;
  const last = asOf.length === 7 ? `${asOf}-31` : asOf;
  return [
    ...(first > today ? [finding('future', `is as of ${asOf}, which is in the future`)] : []),
    ...history
      .filter(({ until }) => until > last)
      .map(({ until }) => finding('future', `changed on ${until}, after its last check (${asOf})`)),
    ...(last < oldest ? [finding('stale', `was last checked ${asOf}: ${source}`)] : []),
    ...(uncertain === true ? [finding('uncertain', source)] : []),
  ];
}

function proportionate(
  { region }: PriceBook,
  { id, amount }: Price,
  books: readonly PriceBook[],
): PriceFinding[] {
  const limit = machineOfPriceId(id)?.purchaseOption === 'spot' ? MAX_TIMES.spot : MAX_TIMES.listed;
  return books.flatMap(({ region: elsewhere, prices }) => {
    const other = prices.get(id);
    if (other === undefined || amount <= other.amount * limit) return [];
    return [
      {
        region,
        priceId: id,
        kind: 'implausible' as const,
        message: `is $${formatUsd(amount)}, more than ${limit} times the $${formatUsd(other.amount)} of ${elsewhere}`,
      },
    ];
  });
}

function belowOnDemand({ region, prices }: PriceBook, { id, amount }: Price): PriceFinding[] {
  const machine = machineOfPriceId(id);
  if (machine?.purchaseOption !== 'spot') return [];
  const onDemand = prices.get(`ec2.${machine.instanceType}.on-demand`);
  if (onDemand === undefined || amount <= onDemand.amount) return [];
  return [
    {
      region,
      priceId: id,
      kind: 'implausible',
      message: `is $${formatUsd(amount)}, above the On-Demand price of $${formatUsd(onDemand.amount)}`,
    },
  ];
}
