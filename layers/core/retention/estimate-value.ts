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
  type ReuseStats,
} from './reuse-stats.ts';
import type { ReuseModel } from './reuse-model.ts';

/** Inputs of estimates that are the same for all entries of a pass. */
export interface PolicyContext {
  /** Epoch milliseconds. */
  now: number;
  model: ReuseModel;
  /** `dollarRates(book)` of the day. */
  rates: DollarRates;
  dollarsPerGpuSecond: number;
  /** Queries of the index that the entries are in. */
  queriesPerMonth: number;
  /** Number of vectors in it; 0 if unknown. */
  vectorsInIndex: number;
}

/** Expected savings from keeping an entry. Dollars are estimates and never booked. */
export interface Savings {
  reuseClass: number;
  /** Seconds since its last use. */
  age: number;
  /** Network evaluations that a hit is expected to save over the next best donor. */
  margin: number;
  /** Expected hits per month from keeping it, from this age on. */
  rate: number;
  /** Dollars saved by one such hit. */
  dollarsPerHit: number;
  /** Expected savings in dollars a month. */
  valuePerMonth: number;
}

/** The numbers behind a verdict. */
export interface ValueEstimate extends Savings {
  verdict: Extract<Verdict, 'keep' | 'pinned' | 'rent'>;
  /** Rent in dollars a month, itemized. */
  rent: EntryRent<number>;
  rentPerMonth: number;
  /** Value per dollar of rent: the ranking when not all entries may stay. */
  density: number;
  /** How long it is kept after a use without reuse data: `dollarsPerHit / rent`. */
  breakEvenSeconds: number;
}

export const SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600;

/**
 * Estimates the monthly value and cost of keeping an entry: it stays while the expected savings
 * exceed the rent. docs/policy.md derives it.
 *
 * @throws InvalidInputError that names the invalid value
 */
export function estimateValue(entry: ReuseStats, context: PolicyContext): ValueEstimate {
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

/** Computes the savings of a valid entry. */
export function savingsOf(entry: ReuseStats, context: PolicyContext): Savings {
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
    margin * driftShare(entry.reuseDepth) * entry.secondsPerEvaluation * dollarsPerGpuSecond;
  return { reuseClass, age, margin, rate, dollarsPerHit, valuePerMonth: dollarsPerHit * rate };
}

/**
 * Computes the share of a donor's margin that counts. The further an entry is from a full
 * generation, the more of its hits its own donors could serve, and if the depth is limited, the
 * less useful are its results as donors. In simulation it saves up to 0.8 % of the evaluations.
 */
function driftShare(reuseDepth: number): number {
  return 1 / (1 + reuseDepth);
}

/** Computes the rent in dollars a month. */
export function rentOf(entry: ReuseStats, context: PolicyContext): EntryRent<number> {
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
