import type { ReplacementPolicy } from './replacement.ts';
import type { EntryUse, SimulatedEntry } from './simulated-entry.ts';
import type { Capacity } from './types.ts';

/** Holds entries up to its capacity: the cache itself, or a fast tier over it. */
export class SimulatedTier {
  readonly #policy: ReplacementPolicy;
  readonly #capacity: Capacity;
  readonly #held = new Set<SimulatedEntry>();
  #bytes = 0;

  constructor(policy: ReplacementPolicy, capacity: Capacity) {
    this.#policy = policy;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#held.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get entries(): ReadonlySet<SimulatedEntry> {
    return this.#held;
  }

  has(entry: SimulatedEntry): boolean {
    return this.#held.has(entry);
  }

  /** Inserts an entry and returns the evicted ones; null if it was not admitted. */
  insert(entry: SimulatedEntry, now: number): SimulatedEntry[] | null {
    if (!this.#policy.admits(entry, now, this.#isFullFor(entry))) return null;
    const gone: SimulatedEntry[] = [];
    while (this.#isFullFor(entry)) {
      if (this.#held.size === 0) return null;
      const victim = this.#policy.victim(now);
      this.remove(victim, now);
      gone.push(victim);
    }
    this.#held.add(entry);
    this.#bytes += entry.latentBytes;
    this.#policy.inserted(entry, now);
    return gone;
  }

  hit(entry: SimulatedEntry, use: EntryUse): void {
    if (this.#held.has(entry)) this.#policy.hit(entry, use);
  }

  remove(entry: SimulatedEntry, now: number): void {
    if (!this.#held.delete(entry)) return;
    this.#bytes -= entry.latentBytes;
    this.#policy.removed(entry, now);
  }

  /** Returns entries not worth keeping although there is room; they are still held. */
  review(now: number): SimulatedEntry[] {
    return this.#policy.review(now);
  }

  #isFullFor(entry: SimulatedEntry): boolean {
    const { entries, latentBytes } = this.#capacity;
    return (
      (entries !== null && this.#held.size >= entries) ||
      (latentBytes !== null && this.#bytes + entry.latentBytes > latentBytes)
    );
  }
}
