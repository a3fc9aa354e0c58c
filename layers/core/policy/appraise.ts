import { InvalidInputError } from '../errors.ts';
import { HOURS_PER_MONTH } from '../idle-cost.ts';
import type { DollarRates } from '../charges.ts';
import type { Verdict } from '../retention-run.ts';
import { entryRentUsd, type EntryRent } from '../storage-cost.ts';
import { decayedTo } from './decay.ts';
import {
  ageOf,
  lastUseOf,
  refuseImpossibleEntry,
  reuseClassOf,
  type EntryState,
} from './entry-state.ts';
import type { ReuseModel } from './reuse-model.ts';

/** What entries are appraised by, the same for all of a pass. */
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

/** The numbers behind a verdict. Dollars are estimates and never booked. */
export interface Appraisal {
  verdict: Extract<Verdict, 'keep' | 'pinned' | 'rent'>;
  reuseClass: number;
  /** Seconds since its last use. */
  age: number;
  /** Network evaluations that a hit is expected to save over the next best donor. */
  margin: number;
  /** Expected hits a month at this age. */
  rate: number;
  /** Dollars that one such hit saves. */
  dollarsPerHit: number;
  /** Expected savings, dollars a month. */
  valuePerMonth: number;
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
export function appraise(entry: EntryState, context: PolicyContext): Appraisal {
  refuseImpossibleEntry(entry);
  const { now, model, rates, queriesPerMonth, vectorsInIndex } = context;
  refuseNegative('dollarsPerGpuSecond', context.dollarsPerGpuSecond);
  refuseNegative('queriesPerMonth', queriesPerMonth);
  const reuseClass = reuseClassOf(entry);
  const age = ageOf(entry, now);
  const margin = model.marginOf(
    entry,
    reuseClass,
    decayedTo(entry.decayedHits, now),
    decayedTo(entry.decayedCredit, now),
  );
  const rate = model.rateAt(reuseClass, age) * SECONDS_PER_MONTH;
  const dollarsPerHit = margin * entry.secondsPerEvaluation * context.dollarsPerGpuSecond;
  const valuePerMonth = dollarsPerHit * rate;
  const { latentBytes, storageClass, vectorBytes, itemBytes } = entry;
  const rent = entryRentUsd(
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
  const pays = valuePerMonth > rent.total;
  return {
    verdict: entry.isPinned ? 'pinned' : pays ? 'keep' : 'rent',
    reuseClass,
    age,
    margin,
    rate,
    dollarsPerHit,
    valuePerMonth,
    rent,
    rentPerMonth: rent.total,
    density: rent.total > 0 ? valuePerMonth / rent.total : Infinity,
    breakEvenSeconds: rent.total > 0 ? (dollarsPerHit / rent.total) * SECONDS_PER_MONTH : Infinity,
  };
}

function refuseNegative(field: string, value: number): void {
  if (value >= 0 && Number.isFinite(value)) return;
  throw new InvalidInputError(field, `${field} is ${value}`, 'give a number from 0 on');
}
