import { InvalidInputError } from '../errors.ts';
import type { StorageClass } from '../costs/storage-class.ts';
import { decayedTo, decayWeight } from './decay.ts';
import { classOfFresh, classOfHit } from './reuse-class.ts';

/** The policy's view of an entry. Times are epoch milliseconds. */
export interface ReuseStats {
  createdAt: number;
  lastHitAt: number | null;
  /** The hit before the last one. */
  previousHitAt: number | null;
  hits: number;
  /** Sum of `decayWeight(time)` over the hits. */
  decayedHits: number;
  /** Sum of `evaluations * decayWeight(time)` over the hits, from `creditsOf`. */
  decayedCredit: number;
  /** Neighbor count at creation (`neighboursOf`); 0 if not recorded. */
  neighbours: number;
  /** Number of reuses from a full generation. */
  reuseDepth: number;
  /** Network evaluations that it took to generate. */
  stepsRun: number;
  /** GPU seconds of one network evaluation of its model. */
  secondsPerEvaluation: number;
  latentBytes: number;
  storageClass: StorageClass;
  vectorBytes: number;
  itemBytes: number;
  isPinned: boolean;
}

/** Returns the time of an entry's last use: creation or hit. */
export function lastUseOf({ createdAt, lastHitAt }: ReuseStats): number {
  return lastHitAt ?? createdAt;
}

/** Computes the seconds since the last use, tolerating small clock differences between machines. */
export function ageOf(entry: ReuseStats, now: number): number {
  return Math.max(0, now - lastUseOf(entry)) / 1000;
}

/** Returns the entry's class since its last use. */
export function reuseClassOf(entry: ReuseStats): number {
  const { hits, decayedHits, lastHitAt, stepsRun } = entry;
  if (hits === 0 || lastHitAt === null) return classOfFresh(stepsRun);
  return classOfHit(decayedTo(decayedHits, lastHitAt), stepsRun);
}

/** Returns the entry's class before its last hit. */
export function classBeforeHit(entry: ReuseStats): number {
  const { hits, decayedHits, lastHitAt, previousHitAt, stepsRun } = entry;
  if (hits <= 1 || lastHitAt === null || previousHitAt === null) {
    return classOfFresh(stepsRun);
  }
  const before = Math.max(0, decayedHits - decayWeight(lastHitAt));
  return classOfHit(decayedTo(before, previousHitAt), stepsRun);
}

/** Checks an entry. @throws InvalidInputError that names the first invalid field */
export function refuseImpossibleEntry(entry: ReuseStats): void {
  for (const field of COUNTS) {
    const value = entry[field];
    if (!(value >= 0 && Number.isFinite(value))) refuse(field, value);
  }
  refuseImpossibleTime('createdAt', entry.createdAt);
  if (entry.lastHitAt !== null) refuseImpossibleTime('lastHitAt', entry.lastHitAt);
  if (entry.previousHitAt !== null) refuseImpossibleTime('previousHitAt', entry.previousHitAt);
}

const COUNTS = [
  'hits',
  'decayedHits',
  'decayedCredit',
  'neighbours',
  'reuseDepth',
  'stepsRun',
  'secondsPerEvaluation',
  'latentBytes',
  'vectorBytes',
  'itemBytes',
] as const;

/** Checks a time. @throws InvalidInputError */
export function refuseImpossibleTime(field: string, value: number): void {
  if (!Number.isFinite(value)) refuse(field, value);
}

function refuse(field: string, value: number): never {
  throw new InvalidInputError(
    field,
    `${field} of an entry is ${value}`,
    'give numbers from 0 on, and times as epoch milliseconds',
  );
}
