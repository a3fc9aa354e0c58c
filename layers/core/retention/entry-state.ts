import { InvalidInputError } from '../errors.ts';
import type { StorageClass } from '../costs/storage-class.ts';
import { decayedTo, decayWeight } from './decay.ts';
import { classOfFresh, classOfHit } from './reuse-class.ts';

/** What the policy knows of an entry. Times are epoch milliseconds. */
export interface EntryState {
  createdAt: number;
  lastHitAt: number | null;
  /** The hit before the last one. */
  previousHitAt: number | null;
  hits: number;
  /** Sum of `decayWeight(time)` over the hits. */
  decayedHits: number;
  /** Sum of `evaluations * decayWeight(time)` over the hits, by `creditsOf`. */
  decayedCredit: number;
  /** By `neighboursOf`, when it was made; 0 when that was not recorded. */
  neighbours: number;
  /** Reuses away from a full generation. */
  generation: number;
  /** Network evaluations that making it took. */
  stepsRun: number;
  /** GPU seconds of one network evaluation of its model. */
  secondsPerEvaluation: number;
  latentBytes: number;
  storageClass: StorageClass;
  vectorBytes: number;
  itemBytes: number;
  isPinned: boolean;
}

/** When an entry was last of use: made or hit. */
export function lastUseOf({ createdAt, lastHitAt }: EntryState): number {
  return lastHitAt ?? createdAt;
}

/** Seconds since the last use; the clocks of two machines may differ a little. */
export function ageOf(entry: EntryState, now: number): number {
  return Math.max(0, now - lastUseOf(entry)) / 1000;
}

/** The class that an entry is in since its last use. */
export function reuseClassOf(entry: EntryState): number {
  const { hits, decayedHits, lastHitAt, stepsRun } = entry;
  if (hits === 0 || lastHitAt === null) return classOfFresh(stepsRun);
  return classOfHit(decayedTo(decayedHits, lastHitAt), stepsRun);
}

/** The class that an entry was in before its last hit. */
export function classBeforeHit(entry: EntryState): number {
  const { hits, decayedHits, lastHitAt, previousHitAt, stepsRun } = entry;
  if (hits <= 1 || lastHitAt === null || previousHitAt === null) {
    return classOfFresh(stepsRun);
  }
  const before = Math.max(0, decayedHits - decayWeight(lastHitAt));
  return classOfHit(decayedTo(before, previousHitAt), stepsRun);
}

/** @throws InvalidInputError naming the first part that cannot be. */
export function refuseImpossibleEntry(entry: EntryState): void {
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
  'generation',
  'stepsRun',
  'secondsPerEvaluation',
  'latentBytes',
  'vectorBytes',
  'itemBytes',
] as const;

/** @throws InvalidInputError */
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
