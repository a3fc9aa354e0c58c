import { appraise, rentOf, savingsOf, type PolicyContext } from '../policy/appraise.ts';
import type { ReuseModel } from '../policy/reuse-model.ts';
import { ageOf, lastUseOf } from '../policy/entry-state.ts';
import type { ReplacementPolicy } from './replacement.ts';
import type { EntryUse, SimulatedEntry } from './simulated-entry.ts';

/** Share of the entries that one look at all of them puts up for eviction. */
const QUEUE_SHARE = 0.01;

/**
 * The product's policy: it ranks by what `appraise` says, and drops what does not pay its rent. Over
 * object storage, in a tier that only saves waiting, every hit saves the same, so it ranks by the rate.
 */
export class RentPolicy implements ReplacementPolicy {
  /** With their rents, dollars a month, as of the last review. */
  readonly #entries = new Map<SimulatedEntry, number>();
  readonly #context: (now: number) => PolicyContext;
  /** Least worthy last; null once it was hit or is gone. */
  #queue: SimulatedEntry[] = [];
  readonly #touched = new Set<SimulatedEntry>();

  readonly #isFastTier: boolean;

  constructor(context: (now: number) => PolicyContext, isFastTier: boolean) {
    this.#context = context;
    this.#isFastTier = isFastTier;
  }

  admits(): boolean {
    return true;
  }

  inserted(entry: SimulatedEntry, now: number): void {
    this.#entries.set(entry, rentOf(entry, this.#context(now)).total);
  }

  hit(entry: SimulatedEntry, { now, credit }: EntryUse): void {
    this.#touched.add(entry);
    if (this.#isFastTier) return;
    const { model } = this.#context(now);
    observeWait(model, entry, now);
    model.addHit(entry.reuseClass, ageOf(entry, now), credit);
  }

  removed(entry: SimulatedEntry, now: number): void {
    if (!this.#isFastTier) observeWait(this.#context(now).model, entry, now);
    this.#entries.delete(entry);
  }

  victim(now: number): SimulatedEntry {
    for (;;) {
      const next = this.#queue.pop();
      if (next === undefined) this.#refill(now);
      else if (this.#entries.has(next) && !this.#touched.has(next)) return next;
    }
  }

  review(now: number): SimulatedEntry[] {
    if (this.#isFastTier) return [];
    const context = this.#context(now);
    context.model.advanceTo(now);
    const unpaid: SimulatedEntry[] = [];
    for (const entry of this.#entries.keys()) {
      observeWait(context.model, entry, now);
      const { verdict, rentPerMonth } = appraise(entry, context);
      this.#entries.set(entry, rentPerMonth);
      if (verdict === 'rent') unpaid.push(entry);
    }
    return unpaid;
  }

  #refill(now: number): void {
    const context = this.#context(now);
    const ranked: { entry: SimulatedEntry; density: number }[] = [];
    for (const [entry, rent] of this.#entries) {
      const { valuePerMonth, rate } = savingsOf(entry, context);
      const density = this.#isFastTier ? rate / entry.latentBytes : valuePerMonth / rent;
      ranked.push({ entry, density });
    }
    ranked.sort((one, other) => one.density - other.density);
    const count = Math.max(1, Math.floor(ranked.length * QUEUE_SHARE));
    this.#queue = ranked
      .slice(0, count)
      .map(({ entry }) => entry)
      .reverse();
    this.#touched.clear();
  }
}

/** Tells the model how long an entry has waited since it was told last. */
function observeWait(model: ReuseModel, entry: SimulatedEntry, now: number): void {
  const from = Math.max(0, entry.observedUntil - lastUseOf(entry)) / 1000;
  model.addWait(entry.reuseClass, from, ageOf(entry, now));
  entry.observedUntil = now;
}
