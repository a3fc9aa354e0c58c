import { canonical } from './fold.ts';
import type { EntryRecord, World } from './world.ts';

/** The protocol has been broken. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** Who has acted, as far as rights go. */
export interface Acting {
  /** Moves entries out because they are not worth their rent: may not touch what is pinned or hit meanwhile. */
  isEvictor: boolean;
  /** Hits of each entry that it has seen when it looked last, by entry id. */
  seen: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface Rules {
  /** A latent is lost from outside at some time: READY without it is then no fault before a sweep. */
  mayLoseLatents: boolean;
}

/**
 * Looks at the stores after every step and says when what must always hold does not:
 *
 * - a READY entry has its latent, whole;
 * - a finished video that nobody deleted can be read;
 * - READY is left for EVICTING, EVICTING for TOMBSTONE, and never while a lease is live; the evictor
 *   moves nothing that is pinned, or that was hit after it looked;
 * - an entry counts as many hits, and as much in its decayed sums, as it was given leases.
 */
export class Watch {
  readonly #world: World;
  readonly #rules: Rules;
  #entries = new Map<string, EntryRecord>();
  /** Holders whose hit counts, of each entry that there ever was, in their order. */
  readonly #hits = new Map<string, string[]>();

  constructor(world: World, rules: Rules) {
    this.#world = world;
    this.#rules = rules;
    this.#entries = this.#read();
    for (const { entryId, holders } of this.#entries.values()) {
      this.#hits.set(entryId, [...holders]);
    }
  }

  /** Names of the hits that an entry counts now. */
  hitsOf(entryId: string): ReadonlySet<string> {
    return new Set(this.#hits.get(entryId));
  }

  /** Equal for equal pasts, as far as they matter. */
  get place(): string {
    return canonical([...this.#hits].sort());
  }

  /** @throws Violation */
  look(acting: Acting): void {
    const before = this.#entries;
    const after = this.#read();
    this.#entries = after;
    for (const [entryId, now] of after) this.#compare(before.get(entryId), now, acting);
    for (const [entryId, was] of before) {
      if (after.has(entryId)) continue;
      if (was.state === 'READY') throw new Violation(`${entryId} was READY and its record is gone`);
      this.#hits.delete(entryId);
    }
    this.#lookAtJobs();
  }

  #compare(was: EntryRecord | undefined, now: EntryRecord, acting: Acting): void {
    const { entryId, state } = now;
    if (was === undefined && state !== 'READY') {
      throw new Violation(`${entryId} came into being ${state}`);
    }
    if (state === 'READY') {
      if (was !== undefined && was.state !== 'READY') {
        throw new Violation(`${entryId} was ${was.state} and is READY again`);
      }
      this.#lookAtLatent(now);
    } else if (was?.state === 'READY') this.#lookAtLeaving(was, now, acting);
    else if (was?.state === 'TOMBSTONE' && state !== 'TOMBSTONE') {
      throw new Violation(`${entryId} was TOMBSTONE and is ${state}`);
    }
    this.#count(was, now);
  }

  #lookAtLatent({ entryId, latentKey, latentSha256 }: EntryRecord): void {
    if (this.#rules.mayLoseLatents) return;
    const head = this.#world.objects.heads(latentKey)[0];
    if (head === undefined) throw new Violation(`${entryId} is READY without its latent`);
    if (head.sha256 !== latentSha256) {
      throw new Violation(`${entryId} is READY and its latent is another`);
    }
  }

  #lookAtLeaving(was: EntryRecord, now: EntryRecord, { isEvictor, seen }: Acting): void {
    const { entryId, holders, leaseUntil } = was;
    if (now.state !== 'EVICTING') throw new Violation(`${entryId} went from READY to ${now.state}`);
    if (holders.length > 0 && leaseUntil > this.#world.clock()) {
      throw new Violation(`${entryId} leaves READY while ${holders.join()} have a lease`);
    }
    if (!isEvictor) return;
    if (was.isPinned) throw new Violation(`${entryId} is evicted while it is pinned`);
    const missed = [...this.hitsOf(entryId)].filter((hit) => !seen.get(entryId)?.has(hit));
    if (missed.length > 0) {
      throw new Violation(
        `${entryId} is evicted though ${missed.join()} hit it after it was evaluated`,
      );
    }
  }

  /** A lease gives a hit and its weight; who holds it already gets none. */
  #count(was: EntryRecord | undefined, now: EntryRecord): void {
    const { entryId } = now;
    const hits = this.#hits.get(entryId) ?? [];
    if (was !== undefined) {
      for (const holder of now.holders)
        if (!was.holders.includes(holder)) hits.push(nameOfHit(holder, hits));
      if (now.hits < was.hits) {
        const left = was.holders.find((holder) => !now.holders.includes(holder));
        if (left === undefined) throw new Violation(`${entryId} lost a hit and no holder`);
        hits.splice(
          hits.findLastIndex((hit) => hit.startsWith(left)),
          1,
        );
      }
      const moved = Math.sign(now.decayedHits - was.decayedHits);
      if (moved !== Math.sign(now.hits - was.hits)) {
        throw new Violation(
          `${entryId} counts a hit without its weight, or a weight without its hit`,
        );
      }
    }
    this.#hits.set(entryId, hits);
    if (now.hits !== hits.length) {
      throw new Violation(`${entryId} counts ${now.hits} hits and was leased by ${hits.join()}`);
    }
  }

  #lookAtJobs(): void {
    for (const job of this.#world.jobs) {
      if (job['status']!.S !== 'completed' || job['deletedAt'] !== undefined) continue;
      const key = job['result']!.M!['videoKey']!.S!;
      if (this.#world.hasObject(key)) continue;
      throw new Violation(`the video ${key} of ${job['videoId']!.S!} is gone`);
    }
  }

  #read(): Map<string, EntryRecord> {
    return new Map(this.#world.entries.map((entry) => [entry.entryId, entry]));
  }
}

/** A holder that let go and leases again gives another hit. */
function nameOfHit(holder: string, hits: readonly string[]): string {
  const before = hits.filter((hit) => hit.startsWith(holder)).length;
  return before === 0 ? holder : `${holder} (${before + 1})`;
}
