import { InvalidInputError } from '../errors.ts';
import { HOURS_PER_MONTH } from '../costs/idle-cost.ts';
import type { DollarRates } from '../costs/charges.ts';
import type { Verdict } from './retention-run.ts';
import { entryRentUsd, type EntryRent } from '../costs/entry-rent.ts';
import { decayWeight } from './decay.ts';
import {
  ageOf,
  lastUseOf,
  refuseImpossibleEntry,
  reuseClassOf,
  type EntryState,
} from './entry-state.ts';
import type { ReuseModel } from './reuse-model.ts';

/** What entries are estimated by, the same for all of a pass. */
export interface PolicyContext {
  /** Epoch milliseconds. */
  now: number;
  model: ReuseModel;
  /** `dollarRates(book)` of the day. */
  rates: DollarRates;
  dollarsPerGpuSecond: number;
  /** Of the index that the entries are in. */
  queriesPerMonth: number;
  /** How many vectors it has; 0 unless known. */
  vectorsInIndex: number;
}

/** What keeping an entry is expected to save. Dollars are estimates and never booked. */
export interface Savings {
  reuseClass: number;
  /** Seconds since its last use. */
  age: number;
  /** Network evaluations that a hit is expected to save over the next best donor. */
  margin: number;
  /** Hits a month that keeping it is expected to bring, from this age on. */
  rate: number;
  /** Dollars that one such hit saves. */
  dollarsPerHit: number;
  /** Expected savings, dollars a month. */
  valuePerMonth: number;
}

/** The numbers behind a verdict. */
export interface ValueEstimate extends Savings {
  verdict: Extract<Verdict, 'keep' | 'pinned' | 'rent'>;
  /** Dollars a month, itemised. */
  rent: EntryRent<number>;
  rentPerMonth: number;
  /** Value for each dollar of rent: what entries are ranked by where not all may stay. */
  density: number;
  /** How long it is kept after a use if nothing is known of its reuse: `dollarsPerHit / rent`. */
  breakEvenSeconds: number;
}

export const SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600;

/**
 * What keeping an entry is worth and costs, a month: it stays while the expected savings exceed the
 * rent. docs/policy.md derives it.
 *
 * @throws InvalidInputError naming what cannot be.
 */
export function estimateValue(entry: EntryState, context: PolicyContext): ValueEstimate {
  refuseImpossibleEntry(entry);
  refuseNegative('dollarsPerGpuSecond', context.dollarsPerGpuSecond);
  refuseNegative('queriesPerMonth', context.queriesPerMonth);
  const savings = savingsOf(entry, context);
  const rent = rentOf(entry, context);
  const { valuePerMonth, dollarsPerHit } = savings;
  const pays = valuePerMonth > rent.total;
  return {
    ...savings,
    verdict: entry.isPinned ? 'pinned' : pays ? 'keep' : 'rent',
    rent,
    rentPerMonth: rent.total,
    density: rent.total > 0 ? valuePerMonth / rent.total : Infinity,
    breakEvenSeconds: rent.total > 0 ? (dollarsPerHit / rent.total) * SECONDS_PER_MONTH : Infinity,
  };
}

/** The left side of the comparison, of an entry that is known to be possible. */
export function savingsOf(entry: EntryState, context: PolicyContext): Savings {
  const { now, model, dollarsPerGpuSecond } = context;
  const reuseClass = reuseClassOf(entry);
  const age = ageOf(entry, now);
  const weight = decayWeight(now);
  const margin = model.marginOf(
    entry,
    reuseClass,
    age,
    entry.decayedHits / weight,
    entry.decayedCredit / weight,
  );
  const rate = model.bestRateFrom(reuseClass, age) * SECONDS_PER_MONTH;
  const dollarsPerHit =
    margin * driftShare(entry.generation) * entry.secondsPerEvaluation * dollarsPerGpuSecond;
  return { reuseClass, age, margin, rate, dollarsPerHit, valuePerMonth: dollarsPerHit * rate };
}

/**
 * How much of a donor's margin counts. The more reuses an entry is away from a full generation, the more
 * of what it serves is served by those that it was made from, and where generations are limited the less
 * of a donor is what is made from it. Simulated it saves up to 0.8 % of the evaluations.
 */
function driftShare(generation: number): number {
  return 1 / (1 + generation);
}

/** The right side: dollars a month. */
export function rentOf(entry: EntryState, context: PolicyContext): EntryRent<number> {
  const { latentBytes, storageClass, vectorBytes, itemBytes } = entry;
  const { now, rates, queriesPerMonth, vectorsInIndex } = context;
  return entryRentUsd(
    {
      latentBytes,
      storageClass,
      lastReadAt: lastUseOf(entry),
      vectorBytes,
      itemBytes,
      queriesPerMonth,
      vectorsInIndex,
    },
    now,
    rates,
  );
}

function refuseNegative(field: string, value: number): void {
  if (value >= 0 && Number.isFinite(value)) return;
  throw new InvalidInputError(field, `${field} is ${value}`, 'give a number from 0 on');
}
