import { packageDigits } from '#core/requests/identity.ts';
import type { PolicyContext } from '#core/retention/estimate-value.ts';
import { betterClass } from '#core/retention/cheapest-class.ts';
import type { EvictionReason } from '#core/retention/retention-run.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { Table } from '#ports/table.ts';
import { inParallel } from '#core/in-parallel.ts';
import { DensityHistogram } from './density-histogram.ts';
import { duplicatesOf, surplusOf, type DuplicateGroups } from './duplicates.ts';
import type { EvictSettings } from './evict-settings.ts';
import { evaluate } from './measure.ts';
import type { Pass, EvaluatedEntry } from './pass.ts';

export interface DecideStores {
  table: Pick<Table, 'getEntry' | 'moveEntry' | 'setStorageClass'>;
  objects: Pick<ObjectStore, 'setStorageClass'>;
}

const CHANGES_AT_ONCE = 8;

/**
 * Whether the deployment keeps only one package's entries and this entry belongs to another,
 * whatever its guidance.
 */
export function isOfAnotherPackage(
  { compatibility }: Pick<EvictionCandidate, 'compatibility'>,
  onlyCompatibilityKey: string | null,
): boolean {
  return onlyCompatibilityKey !== null && packageDigits(onlyCompatibilityKey) !== compatibility;
}

/**
 * Decides about entries and acts on the decisions; each write is conditional on the state that was
 * evaluated.
 */
export class Decider {
  readonly #stores: DecideStores;
  readonly #settings: EvictSettings;
  readonly #pass: Pass;
  readonly #context: PolicyContext;
  readonly #groups: DuplicateGroups;
  readonly #isDryRun: boolean;
  readonly #now: () => number;

  constructor(parts: {
    stores: DecideStores;
    settings: EvictSettings;
    pass: Pass;
    context: PolicyContext;
    groups: DuplicateGroups;
    isDryRun: boolean;
    now: () => number;
  }) {
    this.#stores = parts.stores;
    this.#settings = parts.settings;
    this.#pass = parts.pass;
    this.#context = parts.context;
    this.#groups = parts.groups;
    this.#isDryRun = parts.isDryRun;
    this.#now = parts.now;
  }

  async decide(entries: readonly EvictionCandidate[]): Promise<void> {
    const changes: (() => Promise<void>)[] = [];
    for (const entry of entries) {
      const evaluated = evaluate(entry, this.#pass, this.#settings, this.#context);
      if (evaluated === null) {
        this.#pass.count('unreadable');
        continue;
      }
      const reason = this.#reasonToLeave(evaluated);
      if (reason !== null) {
        changes.push(() => this.#evict(evaluated, reason));
        continue;
      }
      const { verdict } = evaluated.estimate;
      const to = this.#settings.movesStorageClasses
        ? cheapestClassOf(evaluated, this.#context)
        : null;
      if (to !== null) {
        changes.push(() => this.#moveTo(evaluated, to));
      } else {
        this.#pass.keep(verdict === 'pinned' ? 'pinned' : 'keep', evaluated);
        if (verdict === 'keep') this.#groups.add(evaluated);
      }
    }
    await inParallel(changes, CHANGES_AT_ONCE, (change) => change());
  }

  /** Evicts duplicates among the remaining entries. */
  async merge(hasTime: () => boolean): Promise<void> {
    const gone = new Set<string>();
    const { table } = this.#stores;
    const read = (entryId: string) =>
      gone.has(entryId) ? Promise.resolve(null) : table.getEntry(entryId);
    const { startedAt } = this.#pass;
    for (const [groups, choose] of [
      [this.#groups.alike(), duplicatesOf],
      [this.#groups.ofOnePrompt(), surplusOf],
    ] as const) {
      // Every entry is in at most one group of a kind.
      await inParallel(groups, CHANGES_AT_ONCE, async (group) => {
        const left = group.filter(({ entry }) => !gone.has(entry.entryId));
        if (left.length === 0 || !hasTime()) return;
        for (const evaluated of await choose(left, startedAt, read)) {
          if (!(await this.#leaves(evaluated, 'duplicate'))) continue;
          gone.add(evaluated.entry.entryId);
          this.#pass.reverse('keep', 'duplicate', evaluated);
        }
      });
    }
  }

  #reasonToLeave({ entry, estimate }: EvaluatedEntry): EvictionReason | null {
    const { onlyCompatibilityKey } = this.#settings;
    if (estimate.verdict === 'pinned') return null;
    if (isOfAnotherPackage(entry, onlyCompatibilityKey)) return 'obsolete';
    if (estimate.verdict === 'rent') return 'rent';
    return this.#fitsBudget(estimate.density, estimate.rentPerMonth) ? null : 'budget';
  }

  #fitsBudget(density: number, rentUsd: number): boolean {
    const { cutOff } = this.#pass;
    if (cutOff === null) return true;
    const bin = DensityHistogram.binOf(density);
    if (bin !== cutOff.bin) return bin > cutOff.bin;
    if (rentUsd > cutOff.leftUsd) return false;
    this.#pass.cutOff = { ...cutOff, leftUsd: cutOff.leftUsd - rentUsd };
    return true;
  }

  async #evict(evaluated: EvaluatedEntry, reason: EvictionReason): Promise<void> {
    if (await this.#leaves(evaluated, reason)) this.#pass.record(reason, evaluated);
    else this.#pass.keep('leased', evaluated);
  }

  /** Evicts the entry; false if it was leased, hit or pinned since its evaluation. */
  async #leaves({ entry }: EvaluatedEntry, reason: EvictionReason): Promise<boolean> {
    if (this.#isDryRun) return true;
    const { entryId, hits } = entry;
    const options = { hits, reason };
    return this.#stores.table.moveEntry(entryId, 'READY', 'EVICTING', this.#now(), options);
  }

  /** Moves the object first, so that a recorded storage class is always the object's. */
  async #moveTo(evaluated: EvaluatedEntry, to: StorageClass): Promise<void> {
    const { entryId } = evaluated.entry;
    if (!this.#isDryRun) {
      const entry = await this.#stores.table.getEntry(entryId);
      if (entry?.state !== 'READY') return;
      if (!(await this.#stores.objects.setStorageClass(entry.latentKey, to))) {
        return this.#evict(evaluated, 'latent-missing');
      }
      await this.#stores.table.setStorageClass(entryId, to);
    }
    const moved = { ...evaluated, state: { ...evaluated.state, storageClass: to } };
    this.#pass.keep('move', moved);
  }
}

/** Returns a cheaper storage class for an entry's latent, if any. */
export function cheapestClassOf(
  { entry, state, estimate }: EvaluatedEntry,
  context: PolicyContext,
): StorageClass | null {
  // The time of its last move is unknown, so assume that its whole minimum duration is left.
  const storedAt = entry.storageClass === undefined ? state.createdAt : context.now;
  return betterClass(state, estimate, storedAt, context);
}
