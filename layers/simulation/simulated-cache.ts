import type { Calibration } from '#core/planning/calibration.ts';
import { PARTS, type LookupPart, type Plan } from '#core/generation.ts';
import {
  CANDIDATES_PER_PART,
  makePlan,
  type Candidate,
  type PlanInput,
} from '#core/planning/plan.ts';
import { creditsOf, neighboursOf } from '#core/retention/credits.ts';
import { decayWeight } from '#core/retention/decay.ts';
import { SAME_MEANING_SIMILARITY } from '#core/planning/verify-donor.ts';
import { CacheBill } from './cache-bill.ts';
import { PartIndex } from './part-index.ts';
import { policiesOf } from './policies.ts';
import type { PreparedRequest } from './prepare-request.ts';
import { newEntry, partsOf, type SimulatedEntry } from './simulated-entry.ts';
import { SimulatedTier } from './simulated-tier.ts';
import {
  SIMULATED_HITS,
  type CacheResult,
  type CacheSetup,
  type SimulatedHit,
  type SimulationOptions,
} from './types.ts';

const UNLIMITED = { entries: null, latentBytes: null };

interface FoundCandidate {
  entry: SimulatedEntry;
  candidate: Candidate;
}

/** One cache under one policy that replays requests. */
export class SimulatedCache {
  readonly #setup: CacheSetup;
  readonly #options: SimulationOptions;
  readonly #bill: CacheBill;
  readonly #tier: SimulatedTier;
  readonly #fastTier: SimulatedTier | null;
  readonly #byId = new Map<string, SimulatedEntry>();
  readonly #byExactKey = new Map<string, SimulatedEntry>();
  readonly #indexes: Record<LookupPart, PartIndex>[] = [];
  readonly #hits = Object.fromEntries(SIMULATED_HITS.map((hit) => [hit, 0])) as Record<
    SimulatedHit,
    number
  >;
  #requests = 0;
  #evaluations = 0;
  #first = { requests: 0, evaluations: 0 };
  #counts = { stored: 0, refused: 0, evicted: 0, most: 0 };
  #mostBytes = 0;
  #vectorBytes = 0;
  #vectors = 0;
  #fastTierHits = 0;
  #reviewAt = 0;

  constructor(setup: CacheSetup, options: SimulationOptions) {
    this.#setup = setup;
    this.#options = options;
    this.#bill = new CacheBill(options);
    const { main, fast } = policiesOf(setup, options, () => this.#requests);
    this.#tier = new SimulatedTier(main, setup.policy === 'all' ? UNLIMITED : setup.capacity);
    this.#fastTier =
      setup.fastTier === null
        ? null
        : new SimulatedTier(fast, { entries: null, latentBytes: setup.fastTier.bytes });
  }

  serve(prepared: PreparedRequest): void {
    const { now } = prepared;
    if (this.#setup.policy !== 'none') this.#review(now);
    this.#requests++;
    const input = this.#planInput(prepared);
    const plan = makePlan(input);
    this.#count(plan, prepared);
    this.#bill.evaluations(plan.equivalents);
    this.#bill.scan(this.#vectorBytes, this.#vectors);
    const donors = this.#use(input, plan, now);
    if (plan.hit === 'exact' || this.#setup.policy === 'none') return;
    this.#store(prepared, plan, neighboursOf(input), donors);
  }

  /** @param from epoch milliseconds of the first request @param now of the last */
  finish(from: number, now: number): CacheResult {
    for (const entry of this.#byId.values()) this.#bill.rent(entry, now);
    const { fastTier } = this.#setup;
    if (fastTier !== null) this.#bill.fastTier(fastTier, now - from);
    const { gpu, storage, requests } = this.#bill;
    const full = this.#options.steps;
    const skipped = (evaluations: number, count: number): number =>
      count === 0 ? 0 : 1 - evaluations / (count * full);
    return {
      setup: this.#setup,
      requests: this.#requests,
      hits: this.#hits,
      evaluations: this.#evaluations,
      fullEvaluations: this.#requests * full,
      semanticSkippedShare: skipped(this.#first.evaluations, this.#first.requests),
      skippedShare: skipped(this.#evaluations, this.#requests),
      dollars: { gpu, storage, requests, total: gpu + storage + requests },
      entries: { ...this.#counts, atEnd: this.#byId.size },
      latentBytes: { atEnd: this.#tier.bytes, most: this.#mostBytes },
      fastTierHits: this.#fastTierHits,
    };
  }

  #planInput(prepared: PreparedRequest): PlanInput {
    const { exactKey, vectors, partition, seed } = prepared;
    const { steps, calibration } = this.#options;
    const request = { seed, steps, cache: 'auto', minSimilarity: 0, maxReuse: 1 } as const;
    const exact = exactKey === null ? undefined : this.#byExactKey.get(exactKey);
    const index = this.#indexes[partition];
    const candidatesOf = (part: LookupPart): FoundCandidate[] => {
      const vector = vectors[part];
      if (index === undefined || vector === null) return [];
      return index[part].nearest(vector, CANDIDATES_PER_PART).map(({ entry, similarity }) => ({
        entry,
        candidate: {
          entryId: entry.entryId,
          similarity,
          latentKey: entry.entryId,
          reuseDepth: entry.reuseDepth,
          // Every simulated request asks for the same steps and sets no minimum similarity.
          steps,
          leastSimilarity: 1,
        },
      }));
    };
    const wholes = candidatesOf('whole');
    const isAsked = ({ entry }: FoundCandidate): boolean =>
      showsTheSame(prepared, entry, calibration);
    const onlyCandidates = (found: FoundCandidate[]): Candidate[] =>
      found.map(({ candidate }) => candidate);
    const candidates = {
      whole: onlyCandidates(wholes.filter(isAsked)),
      near: onlyCandidates(wholes.filter((found) => !isAsked(found))),
      object: onlyCandidates(candidatesOf('object')),
      background: onlyCandidates(candidatesOf('background')),
    };
    return { request, exactVideoId: exact?.entryId ?? null, candidates, calibration };
  }

  #count(plan: Plan, { request }: PreparedRequest): void {
    const [donor] = plan.donors;
    const isSamePrompt =
      plan.hit === 'whole' && this.#byId.get(donor!.entryId)!.prompt === request.prompt;
    this.#hits[isSamePrompt ? 'same-prompt' : plan.hit]++;
    this.#evaluations += plan.equivalents;
    if (plan.hit === 'exact' || isSamePrompt) return;
    this.#first.requests++;
    this.#first.evaluations += plan.equivalents;
  }

  /** Charges the donors, and counts the hit in entry and policy. */
  #use(input: PlanInput, plan: Plan, now: number): SimulatedEntry[] {
    if (plan.hit === 'miss') return [];
    const donors: SimulatedEntry[] = [];
    for (const [entryId, credit] of creditsOf(input, plan)) {
      const entry = this.#byId.get(entryId)!;
      const use = { now, credit, skipped: plan.fullSteps - plan.equivalents };
      this.#bill.rent(entry, now);
      if (plan.hit !== 'exact') this.#read(entry, now);
      this.#tier.hit(entry, use);
      this.#fastTier?.hit(entry, use);
      entry.hits++;
      entry.previousHitAt = entry.lastHitAt;
      entry.lastHitAt = now;
      const weight = decayWeight(now);
      entry.decayedHits += weight;
      entry.decayedCredit += credit * weight;
      donors.push(entry);
    }
    return donors;
  }

  #read(entry: SimulatedEntry, now: number): void {
    if (this.#fastTier?.has(entry)) {
      this.#fastTierHits++;
      return;
    }
    this.#bill.fetch(entry, now);
    this.#fastTier?.insert(entry, now);
  }

  #store(
    prepared: PreparedRequest,
    plan: Plan,
    neighbours: number,
    donors: readonly SimulatedEntry[],
  ): void {
    const { now, partition } = prepared;
    const entry = newEntry({ prepared, plan, neighbours, donors }, this.#options);
    const gone = this.#tier.insert(entry, now);
    if (gone === null) {
      this.#counts.refused++;
      return;
    }
    this.#counts.stored++;
    this.#bill.store(partsOf(entry).length);
    this.#byId.set(entry.entryId, entry);
    if (entry.exactKey !== null) this.#byExactKey.set(entry.exactKey, entry);
    const index = (this.#indexes[partition] ??= {
      whole: new PartIndex('whole', prepared.spaces.whole),
      object: new PartIndex('object', prepared.spaces.object),
      background: new PartIndex('background', prepared.spaces.background),
    });
    if (this.#isDonor(entry)) {
      for (const part of partsOf(entry)) index[part].add(entry.vectors[part]!, entry);
    }
    this.#vectorBytes += entry.vectorBytes;
    this.#vectors += partsOf(entry).length;
    this.#fastTier?.insert(entry, now);
    for (const victim of gone) this.#forget(victim, now);
    this.#counts.most = Math.max(this.#counts.most, this.#byId.size);
    this.#mostBytes = Math.max(this.#mostBytes, this.#tier.bytes);
  }

  /** Whether an entry can be a donor; only donors are in an index. */
  #isDonor({ reuseDepth }: SimulatedEntry): boolean {
    return reuseDepth < this.#options.calibration.maxReuseDepth;
  }

  #review(now: number): void {
    if (now < this.#reviewAt) return;
    this.#reviewAt = now + REVIEW_EVERY_MILLISECONDS;
    for (const entry of this.#tier.review(now)) {
      this.#tier.remove(entry, now);
      this.#forget(entry, now);
    }
    for (const entry of this.#fastTier?.review(now) ?? []) this.#fastTier?.remove(entry, now);
  }

  /** Removes an entry that left its tier. */
  #forget(entry: SimulatedEntry, now: number): void {
    this.#counts.evicted++;
    this.#bill.rent(entry, now);
    this.#fastTier?.remove(entry, now);
    this.#byId.delete(entry.entryId);
    const { exactKey } = entry;
    if (exactKey !== null && this.#byExactKey.get(exactKey) === entry) {
      this.#byExactKey.delete(exactKey);
    }
    this.#vectorBytes -= entry.vectorBytes;
    this.#vectors -= partsOf(entry).length;
    if (!this.#isDonor(entry)) return;
    const index = this.#indexes[entry.partition]!;
    for (const part of partsOf(entry)) index[part].delete(entry.vectors[part]!, entry);
  }
}

/**
 * Whether an entry shows everything that a request asks, as in the lookup's verification: the same
 * prompt, or one that says the same of each part, in a video that shows it.
 */
function showsTheSame(
  { request, spaces, vectors }: PreparedRequest,
  entry: SimulatedEntry,
  calibration: Calibration,
): boolean {
  if (entry.prompt === request.prompt) return true;
  return PARTS.every((part) => {
    const [asked, said] = [vectors[part], entry.vectors[part]];
    if (asked === null || said === null) return asked === said;
    const similarity = spaces[part].similarityOf(asked, said);
    return (
      similarity >= SAME_MEANING_SIMILARITY &&
      calibration.admits(part, similarity * entry.shown[part])
    );
  });
}

/** Interval of policy reviews: that of the evictor. */
const REVIEW_EVERY_MILLISECONDS = 24 * 3_600_000;
