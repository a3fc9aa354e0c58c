import { approximate, charge, type Charge } from '../costs/charges.ts';
import { LOOKUP_PARTS, type Entry } from '../generation.ts';
import { EQUALLY_GOOD_MARGIN } from '../planning/plan.ts';
import { rentOf, savingsOf, SECONDS_PER_MONTH, type PolicyContext } from './estimate-value.ts';
import { refuseImpossibleEntry, type ReuseStats } from './reuse-stats.ts';
import { AGE_BINS, startOfBin } from './reuse-class.ts';

/** A hit that runs at most this share of a full generation is deep: it keeps most of its donor. */
const DEEP_SHARE = 0.5;

/** Minimum bytes that a put is charged for (S3 Vectors, pricing). */
const MIN_PUT_BYTES = 128 * 1024;
const BYTES_PER_GB = 2 ** 30;

/** Write units of the record and its indexes, over writing, eviction and deletion. */
const WRITE_UNITS = 20;

/** A finished video that may become an entry. */
export interface Newcomer {
  /** Its state on the first day. */
  state: ReuseStats;
  vectors: Entry['vectors'];
  /** Network evaluations of a full generation of the same request. */
  fullSteps: number;
  /** The one entry whose whole latent it started from; null for any other hit, and for a miss. */
  donor: Pick<Entry, 'vectors'> | null;
}

/**
 * Whether a video is rejected as an entry because of low marginal value. It must have kept most of
 * one donor that no request can distinguish from it, so that its only use is to answer its own
 * request exactly, and the expected savings of such answers, learned from entries made in as few
 * evaluations, must be below its storage cost. Everything else is stored and later judged by its
 * rent.
 *
 * On the demo package a new seed of the same prompt (3 of 10 evaluations) is within 0.0025 of its
 * donor.
 *
 * @throws InvalidInputError that names the invalid value
 */
export function addsLittle(newcomer: Newcomer, context: PolicyContext): boolean {
  const { state, vectors, fullSteps, donor } = newcomer;
  if (donor === null || state.stepsRun > DEEP_SHARE * fullSteps) return false;
  if (!LOOKUP_PARTS.every((part) => areNear(vectors[part], donor.vectors[part]))) return false;
  refuseImpossibleEntry(state);
  return expectedSavings(state, context) < storingUsd(context);
}

/**
 * Computes the dollars until eviction: each expected hit's savings minus the rent of the wait for
 * it.
 */
function expectedSavings(state: ReuseStats, context: PolicyContext): number {
  const { model, now } = context;
  const rentPerMonth = rentOf(state, context).total;
  let savings = 0;
  for (let bin = 0; bin < AGE_BINS; bin++) {
    const [from, to] = [startOfBin(bin), startOfBin(bin + 1)];
    const middle = (from + to) / 2;
    const aged = { ...context, now: now + middle * 1000 };
    const { dollarsPerHit, reuseClass, valuePerMonth } = savingsOf(state, aged);
    if (valuePerMonth <= rentPerMonth) break;
    const perSecond =
      model.rateAt(reuseClass, middle) * dollarsPerHit - rentPerMonth / SECONDS_PER_MONTH;
    savings += perSecond * (to - from);
  }
  return savings;
}

function storingUsd({ rates }: PolicyContext): number {
  const charges: Charge[] = [
    charge('s3vectors.put', MIN_PUT_BYTES, BYTES_PER_GB),
    charge('dynamodb.write-unit', WRITE_UNITS),
    charge('s3.put-request', 1),
  ];
  return approximate(charges, rates);
}

/**
 * Whether two vectors are within the margin of equally good donors; a missing part must be missing
 * in both.
 */
function areNear(one: readonly number[] | null, other: readonly number[] | null): boolean {
  if (one === null || other === null) return one === other;
  let cosine = 0;
  for (let index = 0; index < one.length; index++) cosine += one[index]! * other[index]!;
  return cosine >= 1 - EQUALLY_GOOD_MARGIN;
}
