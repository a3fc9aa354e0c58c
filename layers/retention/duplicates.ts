import { areEquallyGood } from '#core/retention/signature.ts';
import { isSamePartition } from '#core/requests/identity.ts';
import { lineageOf } from '#core/planning/lineage.ts';
import { decayedTo } from '#core/retention/decay.ts';
import { LOOKUP_PARTS, type Entry } from '#core/generation.ts';
import { CANDIDATES_PER_PART } from '#core/planning/plan.ts';
import type { EvaluatedEntry } from './pass.ts';

/** Maximum entries of one prompt that a lookup reads. */
export const MAX_OF_ONE_PROMPT = CANDIDATES_PER_PART;

/** Entries among which one pass looks for duplicates: some 20 MB of memory. */
export const ENTRIES_OF_A_SHARE = 20_000;

/** Maximum members of a group that one pass compares with each other. */
const MAX_COMPARED = 32;

/** Prior weight of the class mean for an entry's margin, in hits, as in the reuse model. */
const PRIOR_MARGIN_HITS = 2;

/**
 * Groups of entries that may serve the same requests: those of one prompt, or with similar vectors.
 * Each pass groups one share of the groups, selected by hash, and the next pass the next share:
 * memory stays bounded whatever the cache size, and every group is processed eventually.
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

  /** Yields groups of at least two similar entries, each sorted best first. */
  *alike(): Iterable<EvaluatedEntry[]> {
    yield* this.#largerThan('l', 1);
  }

  /**
   * Yields groups of entries of one prompt that exceed what a lookup reads, each sorted best first.
   */
  *ofOnePrompt(): Iterable<EvaluatedEntry[]> {
    yield* this.#largerThan('p', MAX_OF_ONE_PROMPT);
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

/** Reads an entry's current state; `null` if it is gone. */
export type ReadEntry = (entryId: string) => Promise<Entry | null>;

/**
 * Returns the duplicates of a group of similar entries: a remaining entry serves their requests as
 * well, none of their vectors differs, and their own hits have not saved their rent.
 */
export async function duplicatesOf(
  group: readonly EvaluatedEntry[],
  now: number,
  read: ReadEntry,
): Promise<EvaluatedEntry[]> {
  const kept: Entry[] = [];
  const duplicates: EvaluatedEntry[] = [];
  for (const evaluated of group.slice(0, MAX_COMPARED)) {
    const entry = await read(evaluated.entry.entryId);
    if (entry?.state !== 'READY') continue;
    if (isDispensable(evaluated, now) && kept.some((other) => isDuplicateOf(other, entry))) {
      duplicates.push(evaluated);
    } else {
      kept.push(entry);
    }
  }
  return duplicates;
}

/** Returns the entries of one prompt beyond what a lookup reads, the least valuable last. */
export async function surplusOf(
  group: readonly EvaluatedEntry[],
  now: number,
  read: ReadEntry,
): Promise<EvaluatedEntry[]> {
  const best = await read(group[0]!.entry.entryId);
  if (best?.state !== 'READY') return [];
  const surplus: EvaluatedEntry[] = [];
  for (const evaluated of group.slice(MAX_OF_ONE_PROMPT)) {
    if (!isDispensable(evaluated, now)) continue;
    const entry = await read(evaluated.entry.entryId);
    if (entry?.state === 'READY' && entry.promptKey === best.promptKey) surplus.push(evaluated);
  }
  return surplus;
}

/**
 * Whether an entry's unique contribution does not cover its rent. If another entry serves its
 * requests, its class mean is irrelevant: only the savings of its own hits count.
 */
function isDispensable({ state, estimate }: EvaluatedEntry, now: number): boolean {
  const { isPinned, decayedHits, decayedCredit } = state;
  if (isPinned) return false;
  if (estimate.margin <= 0) return true;
  const own = decayedTo(decayedCredit, now) / (decayedTo(decayedHits, now) + PRIOR_MARGIN_HITS);
  return (estimate.valuePerMonth * own) / estimate.margin <= estimate.rentPerMonth;
}

/**
 * Whether every request that may start from the entry may start from the other one without loss.
 */
function isDuplicateOf(other: Entry, entry: Entry): boolean {
  const [past, otherPast] = [lineageOf(entry), lineageOf(other)];
  return (
    other.supersededBy === undefined &&
    otherPast.steps >= past.steps &&
    otherPast.leastSimilarity >= past.leastSimilarity &&
    isSamePartition(entry, other) &&
    LOOKUP_PARTS.every((part) => areEquallyGood(entry.vectors[part], other.vectors[part]))
  );
}

/** Sorts full generations before videos made from them, then by value, then newest first. */
function bestFirst(one: EvaluatedEntry, other: EvaluatedEntry): number {
  return (
    Number(other.state.isPinned) - Number(one.state.isPinned) ||
    one.entry.reuseDepth - other.entry.reuseDepth ||
    other.estimate.valuePerMonth - one.estimate.valuePerMonth ||
    other.state.createdAt - one.state.createdAt ||
    (one.entry.entryId < other.entry.entryId ? -1 : 1)
  );
}
