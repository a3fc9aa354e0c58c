import {
  estimateValue,
  rentOf,
  savingsOf,
  type PolicyContext,
} from '#core/retention/estimate-value.ts';
import type { ReplacementPolicy } from './replacement.ts';
import type { EntryUse, SimulatedEntry } from './simulated-entry.ts';

/** Share of the entries that one scan queues for eviction. */
const QUEUE_SHARE = 0.01;

/**
 * The product's policy: learns from what passes see of entries, ranks by `savingsOf` per rent, and
 * evicts entries that `estimateValue` finds not worth their rent.
 */
export class RentPolicy implements ReplacementPolicy {
  readonly #context: (now: number) => PolicyContext;
  /** Entries with their monthly rents in dollars, as of the last review. */
  readonly #rents = new Map<SimulatedEntry, number>();
  readonly #queue: EvictionQueue;
  #reviewedAt = -Infinity;

  constructor(context: (now: number) => PolicyContext) {
    this.#context = context;
    this.#queue = new EvictionQueue((entry, now) => {
      const { valuePerMonth } = savingsOf(entry, this.#context(now));
      return valuePerMonth / this.#rents.get(entry)!;
    });
  }

  admits(): boolean {
    return true;
  }

  inserted(entry: SimulatedEntry, now: number): void {
    this.#rents.set(entry, rentOf(entry, this.#context(now)).total);
  }

  hit(entry: SimulatedEntry): void {
    this.#queue.spare(entry);
  }

  removed(entry: SimulatedEntry, now: number): void {
    this.#context(now).model.observe(entry, this.#reviewedAt, now);
    this.#rents.delete(entry);
    this.#queue.spare(entry);
  }

  victim(now: number): SimulatedEntry {
    return this.#queue.next(this.#rents, now);
  }

  review(now: number): SimulatedEntry[] {
    const context = this.#context(now);
    context.model.advanceTo(now);
    for (const entry of this.#rents.keys()) context.model.observe(entry, this.#reviewedAt, now);
    this.#reviewedAt = now;
    const unpaid: SimulatedEntry[] = [];
    for (const entry of this.#rents.keys()) {
      const { verdict, rentPerMonth } = estimateValue(entry, context);
      this.#rents.set(entry, rentPerMonth);
      if (verdict === 'rent') unpaid.push(entry);
    }
    return unpaid;
  }
}

/**
 * The same policy for a fast tier over the cache. Every hit there saves the same wait, so it ranks
 * by the rate alone, as learned by the cache's own policy.
 */
export class FastTierRentPolicy implements ReplacementPolicy {
  readonly #held = new Set<SimulatedEntry>();
  readonly #queue: EvictionQueue;

  constructor(context: (now: number) => PolicyContext) {
    this.#queue = new EvictionQueue(
      (entry, now) => savingsOf(entry, context(now)).rate / entry.latentBytes,
    );
  }

  admits(): boolean {
    return true;
  }

  inserted(entry: SimulatedEntry): void {
    this.#held.add(entry);
  }

  hit(entry: SimulatedEntry, _use: EntryUse): void {
    this.#queue.spare(entry);
  }

  removed(entry: SimulatedEntry): void {
    this.#held.delete(entry);
    this.#queue.spare(entry);
  }

  victim(now: number): SimulatedEntry {
    return this.#queue.next(this.#held, now);
  }

  review(): SimulatedEntry[] {
    return [];
  }
}

/**
 * The entries of least value. It scans all entries whenever the queue is empty, because values
 * change with time and no order stays valid.
 */
class EvictionQueue {
  readonly #worth: (entry: SimulatedEntry, now: number) => number;
  readonly #least: SimulatedEntry[] = [];
  readonly #spared = new Set<SimulatedEntry>();

  constructor(worth: (entry: SimulatedEntry, now: number) => number) {
    this.#worth = worth;
  }

  /** Removes an entry that was hit or is gone. */
  spare(entry: SimulatedEntry): void {
    if (this.#least.length > 0) this.#spared.add(entry);
  }

  next(
    held: { readonly size: number; keys(): Iterable<SimulatedEntry> },
    now: number,
  ): SimulatedEntry {
    for (;;) {
      const least = this.#least.pop();
      if (least === undefined) this.#look(held, now);
      else if (!this.#spared.has(least)) return least;
    }
  }

  #look(held: { readonly size: number; keys(): Iterable<SimulatedEntry> }, now: number): void {
    const ranked: { entry: SimulatedEntry; worth: number }[] = [];
    for (const entry of held.keys()) ranked.push({ entry, worth: this.#worth(entry, now) });
    ranked.sort((one, other) => other.worth - one.worth);
    const count = Math.max(1, Math.floor(ranked.length * QUEUE_SHARE));
    for (const { entry } of ranked.slice(-count)) this.#least.push(entry);
    this.#spared.clear();
  }
}
