import { packageDigits } from '#core/identity.ts';
import type { PolicyContext } from '#core/policy/appraise.ts';
import { betterClass } from '#core/policy/better-class.ts';
import type { EvictionReason } from '#core/retention-run.ts';
import type { StorageClass } from '#core/storage-class.ts';
import type { WeighedEntry } from '#core/weighed-entry.ts';
import type { ObjectStore } from '#stores/objects.ts';
import type { Table } from '#stores/table.ts';
import { inParallel } from '../in-parallel.ts';
import { DensityHistogram } from './density-histogram.ts';
import { doublesOf, surplusOf, type DuplicateGroups } from './duplicates.ts';
import type { EvictSettings } from './evict-settings.ts';
import { weigh } from './measure.ts';
import type { Pass, Weighed } from './pass.ts';

export interface DecideStores {
  table: Pick<Table, 'getEntry' | 'moveEntry' | 'setStorageClass'>;
  objects: Pick<ObjectStore, 'setStorageClass'>;
}

const CHANGES_AT_ONCE = 8;

/** Whether a deployment that keeps the entries of one package alone lets go of it, whatever its guidance. */
export function isOfAnotherPackage(
  { compatibility }: Pick<WeighedEntry, 'compatibility'>,
  onlyCompatibilityKey: string | null,
): boolean {
  return onlyCompatibilityKey !== null && packageDigits(onlyCompatibilityKey) !== compatibility;
}

/** Decides about entries and acts upon it: each write holds only while what was decided still does. */
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

  async decide(entries: readonly WeighedEntry[]): Promise<void> {
    const changes: (() => Promise<void>)[] = [];
    for (const entry of entries) {
      const weighed = weigh(entry, this.#pass, this.#settings, this.#context);
      if (weighed === null) {
        this.#pass.count('unreadable');
        continue;
      }
      const reason = this.#reasonToLeave(weighed);
      if (reason !== null) {
        changes.push(() => this.#letGo(weighed, reason));
        continue;
      }
      const { verdict } = weighed.appraisal;
      const to = this.#settings.movesStorageClasses ? cheaperClassOf(weighed, this.#context) : null;
      if (to !== null) {
        changes.push(() => this.#moveTo(weighed, to));
      } else {
        this.#pass.stay(verdict === 'pinned' ? 'pinned' : 'keep', weighed);
        if (verdict === 'keep') this.#groups.add(weighed);
      }
    }
    await inParallel(changes, CHANGES_AT_ONCE, (change) => change());
  }

  /** Lets go of duplicates among what stays. */
  async merge(hasTime: () => boolean): Promise<void> {
    const gone = new Set<string>();
    const { table } = this.#stores;
    const read = (entryId: string) =>
      gone.has(entryId) ? Promise.resolve(null) : table.getEntry(entryId);
    const { startedAt } = this.#pass;
    for (const [groups, choose] of [
      [this.#groups.alike(), doublesOf],
      [this.#groups.ofOnePrompt(), surplusOf],
    ] as const) {
      // Every entry is in one group of a kind at most.
      await inParallel(groups, CHANGES_AT_ONCE, async (group) => {
        const left = group.filter(({ entry }) => !gone.has(entry.entryId));
        if (left.length === 0 || !hasTime()) return;
        for (const weighed of await choose(left, startedAt, read)) {
          if (!(await this.#leaves(weighed, 'duplicate'))) continue;
          gone.add(weighed.entry.entryId);
          this.#pass.leaveAfterAll('keep', 'duplicate', weighed);
        }
      });
    }
  }

  #reasonToLeave({ entry, appraisal }: Weighed): EvictionReason | null {
    const { onlyCompatibilityKey } = this.#settings;
    if (appraisal.verdict === 'pinned') return null;
    if (isOfAnotherPackage(entry, onlyCompatibilityKey)) return 'obsolete';
    if (appraisal.verdict === 'rent') return 'rent';
    return this.#fitsBudget(appraisal.density, appraisal.rentPerMonth) ? null : 'budget';
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

  async #letGo(weighed: Weighed, reason: EvictionReason): Promise<void> {
    if (await this.#leaves(weighed, reason)) this.#pass.conclude(reason, weighed);
    else this.#pass.stay('leased', weighed);
  }

  /** False when somebody leased, hit or pinned it since it was weighed. */
  async #leaves({ entry }: Weighed, reason: EvictionReason): Promise<boolean> {
    if (this.#isDryRun) return true;
    const { entryId, hits } = entry;
    const options = { hits, reason };
    return this.#stores.table.moveEntry(entryId, 'READY', 'EVICTING', this.#now(), options);
  }

  /** The object first: a class that is recorded is one that the object has. */
  async #moveTo(weighed: Weighed, to: StorageClass): Promise<void> {
    const { entryId } = weighed.entry;
    if (!this.#isDryRun) {
      const entry = await this.#stores.table.getEntry(entryId);
      if (entry?.state !== 'READY') return;
      if (!(await this.#stores.objects.setStorageClass(entry.latentKey, to))) {
        return this.#letGo(weighed, 'latent-missing');
      }
      await this.#stores.table.setStorageClass(entryId, to);
    }
    const moved = { ...weighed, state: { ...weighed.state, storageClass: to } };
    this.#pass.stay('move', moved);
  }
}

/** Where the latent of an entry would be cheaper, if anywhere. */
export function cheaperClassOf(
  { entry, state, appraisal }: Weighed,
  context: PolicyContext,
): StorageClass | null {
  // When it was moved is not known: all of its least duration may be left.
  const storedAt = entry.storageClass === undefined ? state.createdAt : context.now;
  return betterClass(state, appraisal, storedAt, context);
}
