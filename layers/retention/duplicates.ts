import { areEquallyGood } from '#core/retention/signature.ts';
import { isSamePartition } from '#core/requests/identity.ts';
import { lineageOf } from '#core/planning/lineage.ts';
import { decayedTo } from '#core/retention/decay.ts';
import { LOOKUP_PARTS, type Entry } from '#core/generation.ts';
import { CANDIDATES_PER_PART } from '#core/planning/plan.ts';
import type { EvaluatedEntry } from './pass.ts';

/** A look-up reads no more entries of one prompt. */
export const MOST_OF_ONE_PROMPT = CANDIDATES_PER_PART;

/** Entries that one pass looks for duplicates among: some 20 MB of memory. */
export const ENTRIES_OF_A_SHARE = 20_000;

/** Members of a group that are compared with each other in one pass. */
const MOST_COMPARED = 32;

/** Hits' worth of belief in the mean of its class that an entry's margin has, as in the reuse model. */
const PRIOR_MARGIN_HITS = 2;

/**
 * Entries that may serve the same requests: of one prompt, or with like vectors. A pass groups one share
 * of all groups, told by their hash, and the next pass the next share, so that memory stays bounded
 * however large the cache is, and every group has its turn.
 */
export class DuplicateGroups {
  readonly #round: number;
  readonly #shares: number;
  readonly #groups = new Map<string, EvaluatedEntry[]>();

  constructor(entries: number, round: number) {
    this.#shares = Math.max(1, Math.ceil(entries / ENTRIES_OF_A_SHARE));
    this.#round = round % this.#shares;
  }

  add(evaluated: EvaluatedEntry): void {
    const { prompt, signature } = evaluated.entry;
    this.#addTo('p', prompt, evaluated);
    this.#addTo('l', signature, evaluated);
  }

  /** Groups of like entries that are more than one, each with the best first. */
  *alike(): Iterable<EvaluatedEntry[]> {
    yield* this.#largerThan('l', 1);
  }

  /** Entries of one prompt that are more than a look-up finds, each with the best first. */
  *ofOnePrompt(): Iterable<EvaluatedEntry[]> {
    yield* this.#largerThan('p', MOST_OF_ONE_PROMPT);
  }

  #addTo(kind: 'p' | 'l', hash: string, evaluated: EvaluatedEntry): void {
    if (parseInt(hash.slice(0, 8), 16) % this.#shares !== this.#round) return;
    const key = kind + hash;
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, [evaluated]);
    else group.push(evaluated);
  }

  *#largerThan(kind: 'p' | 'l', size: number): Iterable<EvaluatedEntry[]> {
    for (const [key, group] of this.#groups) {
      if (key.startsWith(kind) && group.length > size) yield group.sort(bestFirst);
    }
  }
}

/** The entry itself and its last state; what is read of it is `null` once it is gone. */
export type ReadEntry = (entryId: string) => Promise<Entry | null>;

/**
 * Of a group of like entries those whose requests one that stays serves as well: no vector of theirs
 * differs, and their own hits have not saved what they cost.
 */
export async function doublesOf(
  group: readonly EvaluatedEntry[],
  now: number,
  read: ReadEntry,
): Promise<EvaluatedEntry[]> {
  const kept: Entry[] = [];
  const doubles: EvaluatedEntry[] = [];
  for (const evaluated of group.slice(0, MOST_COMPARED)) {
    const entry = await read(evaluated.entry.entryId);
    if (entry?.state !== 'READY') continue;
    if (isDispensable(evaluated, now) && kept.some((other) => isDoubledBy(other, entry))) {
      doubles.push(evaluated);
    } else {
      kept.push(entry);
    }
  }
  return doubles;
}

/** Of the entries of one prompt those beyond what a look-up finds, least worth last. */
export async function unexplainedCost(
  group: readonly EvaluatedEntry[],
  now: number,
  read: ReadEntry,
): Promise<EvaluatedEntry[]> {
  const best = await read(group[0]!.entry.entryId);
  if (best?.state !== 'READY') return [];
  const surplus: EvaluatedEntry[] = [];
  for (const evaluated of group.slice(MOST_OF_ONE_PROMPT)) {
    if (!isDispensable(evaluated, now)) continue;
    const entry = await read(evaluated.entry.entryId);
    if (entry?.state === 'READY' && entry.promptKey === best.promptKey) surplus.push(evaluated);
  }
  return surplus;
}

/**
 * Whether an entry does not pay for what it alone does. Where another one serves its requests, the
 * mean of its class says nothing of it: only what its own hits have saved counts.
 */
function isDispensable({ state, estimate }: EvaluatedEntry, now: number): boolean {
  const { isPinned, decayedHits, decayedCredit } = state;
  if (isPinned) return false;
  if (estimate.margin <= 0) return true;
  const own = decayedTo(decayedCredit, now) / (decayedTo(decayedHits, now) + PRIOR_MARGIN_HITS);
  return (estimate.valuePerMonth * own) / estimate.margin <= estimate.rentPerMonth;
}

/** Whether whoever may start from the entry may start from the other one as well, and loses nothing. */
function isDoubledBy(other: Entry, entry: Entry): boolean {
  const [past, otherPast] = [lineageOf(entry), lineageOf(other)];
  return (
    other.supersededBy === undefined &&
    otherPast.steps >= past.steps &&
    otherPast.leastSimilarity >= past.leastSimilarity &&
    isSamePartition(entry, other) &&
    LOOKUP_PARTS.every((part) => areEquallyGood(entry.vectors[part], other.vectors[part]))
  );
}

/** Full generations are better donors than what was made from them; then what is worth more, then what is newer. */
function bestFirst(one: EvaluatedEntry, other: EvaluatedEntry): number {
  return (
    Number(other.state.isPinned) - Number(one.state.isPinned) ||
    one.entry.generation - other.entry.generation ||
    other.estimate.valuePerMonth - one.estimate.valuePerMonth ||
    other.state.createdAt - one.state.createdAt ||
    (one.entry.entryId < other.entry.entryId ? -1 : 1)
  );
}
