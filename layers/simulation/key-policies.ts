import type { PolicyName } from './types.ts';
import { IndexedHeap } from './indexed-heap.ts';
import type { ReplacementPolicy } from './replacement.ts';
import type { EntryUse, SimulatedEntry } from './simulated-entry.ts';

/** Ranking key of a policy from the literature; the smallest key is evicted first. */
interface KeyRule {
  inserted(entry: SimulatedEntry, now: number): number;
  hit(entry: SimulatedEntry, key: number, use: EntryUse): number;
  removed?(key: number): void;
}

/** A policy that ranks each entry by a number that only the entry's own hits change. */
export class KeyPolicy implements ReplacementPolicy {
  readonly #heap = new IndexedHeap<SimulatedEntry>();
  readonly #rule: KeyRule;

  constructor(rule: KeyRule) {
    this.#rule = rule;
  }

  admits(): boolean {
    return true;
  }

  inserted(entry: SimulatedEntry, now: number): void {
    this.#heap.set(entry, this.#rule.inserted(entry, now));
  }

  hit(entry: SimulatedEntry, use: EntryUse): void {
    const key = this.#heap.keyOf(entry);
    if (key !== undefined) this.#heap.set(entry, this.#rule.hit(entry, key, use));
  }

  removed(entry: SimulatedEntry): void {
    const key = this.#heap.keyOf(entry);
    if (key !== undefined) this.#rule.removed?.(key);
    this.#heap.delete(entry);
  }

  victim(): SimulatedEntry {
    return this.#heap.first()!;
  }

  review(): SimulatedEntry[] {
    return [];
  }
}

/** Policies of the literature, by name. Equal keys are evicted in order of last use. */
export const KEY_RULES: Readonly<Record<Exclude<PolicyName, 'rent' | 'none'>, () => KeyRule>> = {
  lru: () => ({ inserted: (_, now) => now, hit: (_, __, { now }) => now }),
  fifo: () => ({ inserted: (_, now) => now, hit: (_, key) => key }),
  lfu: () => ({ inserted: () => 0, hit: (_, key) => key + 1 }),
  // NIRVANA (NSDI 2024): number of uses times skipped work.
  lcbfu: () => ({ inserted: () => 0, hit: (_, key, { skipped }) => key + skipped }),
  gdsf,
  all: () => ({ inserted: (_, now) => now, hit: (_, __, { now }) => now }),
};

/**
 * GreedyDual-Size-Frequency (Cherkasova 1998): age plus uses x cost / size; an eviction sets the
 * age.
 */
function gdsf(): KeyRule {
  let age = 0;
  const uses = new Map<SimulatedEntry, number>();
  const key = (entry: SimulatedEntry, count: number): number => {
    uses.set(entry, count);
    return age + (count * entry.stepsRun) / entry.latentBytes;
  };
  return {
    inserted: (entry) => key(entry, 1),
    hit: (entry) => key(entry, (uses.get(entry) ?? 1) + 1),
    removed: (gone) => {
      age = Math.max(age, gone);
    },
  };
}
