import { cosine } from '#core/cosine.ts';
import { FlexCacheError } from '#core/errors.ts';
import {
  LOOKUP_PARTS,
  type Entry,
  type GenerationRequest,
  type LookupPart,
  type Plan,
  type PromptEmbedding,
} from '#core/generation.ts';
import type { Calibration } from '#core/planning/calibration.ts';
import { limitReuse } from '#core/planning/limit-reuse.ts';
import { lineageOf } from '#core/planning/lineage.ts';
import {
  CANDIDATES_PER_PART,
  isAnswer,
  makePlan,
  type Candidate,
  type PlanInput,
} from '#core/planning/plan.ts';
import type { JudgedAttribute } from '#core/planning/shown-attributes.ts';
import {
  partScore,
  verifyDonor,
  type Verification,
  type VectorTraits,
} from '#core/planning/verify-donor.ts';
import {
  exactKey,
  isSamePartition,
  partitionOf,
  promptKey,
  type CachePartition,
} from '#core/requests/identity.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import { creditsOf, neighboursOf } from '#core/retention/credits.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { LeaseRequest, Table } from '#ports/table.ts';
import type { VectorIndex, VectorMatch } from '#ports/vector-index.ts';

/** Stores and package rules that a lookup uses. */
export interface LookupStores {
  table: Pick<Table, 'findExact' | 'findSamePrompt' | 'getEntry' | 'leaseEntry' | 'withdrawLease'>;
  vectors: Pick<VectorIndex, 'query'>;
  /** Checks which videos still exist. */
  objects: Pick<ObjectStore, 'head'>;
  calibration: Calibration;
  /**
   * Key of the package; entries are looked up in the partition of their request (`partitionOf`).
   */
  compatibilityKey: string;
  /** Attributes of the package's judge; absent without a judge. */
  judged?: readonly JudgedAttribute[];
  /** What the package's vectors can tell; everything by default. */
  traits?: VectorTraits;
}

type Candidates = Record<LookupPart | 'near', Candidate[]>;

const CANDIDATE_LISTS = [...LOOKUP_PARTS, 'near'] as const;

/** Input of the planner; a remix has its video in addition to the candidates. */
type Choice = Pick<PlanInput, 'exactVideoId' | 'remix'> & { candidates: Candidates };

/**
 * Finds donors for a request, leases them, and plans.
 *
 * A remix starts only from the video that it names: from its parts if they are similar enough,
 * otherwise from the whole of it at `REMIX_START_TIME`.
 */
export class Lookup {
  readonly #stores: LookupStores;
  readonly #request: GenerationRequest;
  readonly #embedding: PromptEmbedding;
  /** Lease owner: the name of the execution, so every attempt has its own leases. */
  readonly #holder: string;
  /** The package's calibration within the bounds of the request. */
  readonly #calibration: Calibration;
  /** Entries that refused a lease: they are gone or being evicted. */
  readonly #refused = new Set<string>();
  /** Granted leases as requested, by entry id. */
  readonly #leases = new Map<string, LeaseRequest>();
  /** Number of entries that could be donors; null without a search. */
  neighbours: number | null = null;

  constructor(
    stores: LookupStores,
    request: GenerationRequest,
    embedding: PromptEmbedding,
    holder: string,
  ) {
    this.#stores = stores;
    this.#request = request;
    this.#embedding = embedding;
    this.#holder = holder;
    this.#calibration = limitReuse(stores.calibration, request);
  }

  /** Number of donors that refused a lease. */
  get conflicts(): number {
    return this.#refused.size;
  }

  /**
   * Plans the request. @throws FlexCacheError `not_found` if the video of a remix is not in the
   * request's part of the cache
   */
  async plan(): Promise<Plan> {
    const { cache, remixOf } = this.#request;
    if (cache === 'off' || cache === 'refresh') return this.#makePlan(nothingFound());
    const [exact, samePrompt] = await Promise.all([
      this.#findExact(),
      remixOf === null ? this.#findSamePrompt() : [],
    ]);
    if (exact !== null) {
      const plan = await this.#leaseExact(exact, samePrompt);
      if (plan !== null) return plan;
    }
    if (remixOf !== null) return this.#planRemix(remixOf);
    const choice = { exactVideoId: null, candidates: await this.#findCandidates(samePrompt) };
    this.neighbours = neighboursOf(this.#planInput(choice));
    return this.#leaseDonors(choice);
  }

  /**
   * Leases an exact answer. Its savings are estimated from entries of the same prompt, which are
   * already loaded: querying the vector index for a better donor would cost more than it tells.
   */
  async #leaseExact(exact: Entry, samePrompt: readonly Entry[]): Promise<Plan | null> {
    const candidates = noCandidates();
    for (const entry of samePrompt) this.#propose(candidates, 'whole', entry);
    const input = this.#planInput({ exactVideoId: exact.entryId, candidates });
    const plan = makePlan(input);
    const credit = creditsOf(input, plan).get(exact.entryId) ?? 0;
    return (await this.#lease(exact.entryId, credit)) ? plan : null;
  }

  async #planRemix(videoId: string): Promise<Plan> {
    const entry = await this.#stores.table.getEntry(videoId);
    if (entry === null || !this.#isUsable(entry)) throw remixNotFound(videoId);
    const candidates = noCandidates();
    for (const part of LOOKUP_PARTS) this.#propose(candidates, part, entry);
    const remix = candidateOf(entry, cosine(this.#embedding.vectors.whole, entry.vectors.whole));
    const plan = await this.#leaseDonors({ exactVideoId: null, candidates, remix });
    if (plan.donors.length === 0 && this.#refused.has(videoId)) throw remixNotFound(videoId);
    return plan;
  }

  /**
   * Plans and leases until every donor of the plan is leased; donors that refuse are excluded. A
   * lease carries the donor's savings in the current plan. If the plan is dropped, its leases are
   * revoked with their hit and credit, so that only the last plan counts.
   */
  async #leaseDonors(choice: Choice): Promise<Plan> {
    for (;;) {
      const input = this.#planInput(choice);
      const plan = makePlan(input);
      const credits = creditsOf(input, plan);
      await this.#withdraw(
        [...this.#leases.values()].filter(({ entryId, credit }) => credits.get(entryId) !== credit),
      );
      const granted = await this.#leaseAll(credits);
      if (granted) return plan;
      for (const list of CANDIDATE_LISTS) {
        choice.candidates[list] = choice.candidates[list].filter(
          ({ entryId }) => !this.#refused.has(entryId),
        );
      }
      if (choice.remix && this.#refused.has(choice.remix.entryId)) choice.remix = null;
    }
  }

  /** Leases all donors; true if all were granted. */
  async #leaseAll(credits: ReadonlyMap<string, number>): Promise<boolean> {
    let isGranted = true;
    for (const [entryId, credit] of credits) {
      if (this.#leases.has(entryId) || (await this.#lease(entryId, credit))) continue;
      this.#refused.add(entryId);
      isGranted = false;
    }
    return isGranted;
  }

  #makePlan(choice: Choice): Plan {
    return makePlan(this.#planInput(choice));
  }

  #planInput(choice: Choice): PlanInput {
    const { calibration } = this.#stores;
    return { request: this.#request, calibration, ...choice };
  }

  async #withdraw(leases: readonly LeaseRequest[]): Promise<void> {
    for (const lease of leases) {
      await this.#stores.table.withdrawLease(lease);
      this.#leases.delete(lease.entryId);
    }
  }

  async #lease(entryId: string, credit: number): Promise<boolean> {
    const now = Date.now();
    const lease: LeaseRequest = {
      entryId,
      holder: this.#holder,
      now,
      // Protects a donor from eviction until the worker has read it.
      leaseUntil: now + TASK_TIMEOUTS[this.#request.pool].totalSeconds * 1000,
      partition: this.#partition,
      credit,
    };
    if ((await this.#stores.table.leaseEntry(lease)) === null) return false;
    this.#leases.set(entryId, lease);
    return true;
  }

  async #findExact(): Promise<Entry | null> {
    if (this.#calibration.decide('exact', 1, this.#request.steps) === null) return null;
    const { prompt, seed, steps, remixOf } = this.#request;
    const exact = await this.#stores.table.findExact(
      exactKey({ prompt, seed, steps, remixOf, ...this.#partition }),
    );
    return exact !== null && (await this.#isAnswer(exact)) ? exact : null;
  }

  async #findSamePrompt(): Promise<Entry[]> {
    const { prompt } = this.#request;
    return this.#stores.table.findSamePrompt(
      promptKey({ prompt, ...this.#partition }),
      CANDIDATES_PER_PART,
    );
  }

  async #findCandidates(samePrompt: readonly Entry[]): Promise<Candidates> {
    const matches = await Promise.all(LOOKUP_PARTS.map((part) => this.#query(part)));
    const entries = new Map(samePrompt.map((entry) => [entry.entryId, entry]));
    const proposed = new Set(matches.flat().map((match) => match.entryId));
    await Promise.all(
      [...proposed].map(async (entryId) => {
        if (entries.has(entryId)) return;
        const entry = await this.#stores.table.getEntry(entryId);
        if (entry !== null) entries.set(entryId, entry);
      }),
    );

    const candidates = noCandidates();
    for (const [index, part] of LOOKUP_PARTS.entries()) {
      const similarities = new Map(
        matches[index]!.map((match) => [match.entryId, match.similarity]),
      );
      const proposed = part === 'whole' ? samePrompt.map(({ entryId }) => entryId) : [];
      for (const entryId of new Set([...similarities.keys(), ...proposed])) {
        const entry = entries.get(entryId);
        if (entry !== undefined) {
          this.#propose(candidates, part, entry, similarities.get(entryId));
        }
      }
    }
    return candidates;
  }

  /** Queries the index for matches that are similar enough to read their entries. */
  async #query(part: LookupPart): Promise<VectorMatch[]> {
    const vector = this.#embedding.vectors[part];
    if (vector === null) return [];
    const matches = await this.#stores.vectors.query(
      { ...this.#partition, part },
      vector,
      CANDIDATES_PER_PART,
    );
    const calibration = this.#calibration;
    // The entry says whether the judge was sure.
    const isJudged = (this.#stores.judged ?? []).length > 0;
    return matches.filter(
      ({ similarity }) =>
        calibration.admits(part, similarity, isJudged) ||
        (part === 'whole' && calibration.decide('near', similarity, Infinity) !== null),
    );
  }

  /**
   * Adds a part of an entry to the candidates, unless the entry lacks it or must not be used.
   *
   * @param similarity similarity of the request and the part, if the index returned it
   */
  #propose(candidates: Candidates, part: LookupPart, entry: Entry, similarity?: number): void {
    const [asked, stored] = [this.#embedding.vectors[part], entry.vectors[part]];
    const measured = asked && stored && cosine(asked, stored);
    const known = similarity ?? measured;
    if (known === null || !this.#isUsable(entry)) return;
    const { shows, doubts, isSure, isPlaced } = this.#verify(part, entry);
    if (shows === 'other') return;
    const score = partScore(part, this.#embedding, entry) ?? known;
    const candidate = { ...candidateOf(entry, known), doubts, isSure, score, isPlaced };
    candidates[shows === 'near' ? 'near' : part].push(candidate);
  }

  #verify(part: LookupPart, entry: Entry): Verification {
    const { prompt } = this.#request;
    const { calibration, judged = [], traits } = this.#stores;
    const isSamePrompt = entry.promptKey === promptKey({ prompt, ...this.#partition });
    const question = {
      prompt,
      embedding: this.#embedding,
      calibration,
      judged,
      ...(traits !== undefined && { traits }),
    };
    return verifyDonor(part, question, entry, isSamePrompt);
  }

  /**
   * Whether an entry can answer exactly. Videos may expire before their entries: an entry without
   * its file may still be a donor.
   */
  async #isAnswer(entry: Entry): Promise<boolean> {
    return (
      entry.supersededBy === undefined &&
      isAnswer(lineageOf(entry), this.#request) &&
      (await this.#stores.objects.head(entry.videoKey)) !== null
    );
  }

  /** Whether an entry may be used; a crashed run may have left an entry of this same video. */
  #isUsable(entry: Entry): boolean {
    return (
      entry.state === 'READY' &&
      entry.supersededBy === undefined &&
      entry.entryId !== this.#request.videoId &&
      isSamePartition(entry, this.#partition)
    );
  }

  get #partition(): CachePartition {
    return partitionOf(this.#stores.compatibilityKey, this.#request);
  }
}

function noCandidates(): Candidates {
  return { whole: [], object: [], background: [], near: [] };
}

function nothingFound(): Choice {
  return { exactVideoId: null, candidates: noCandidates() };
}

function candidateOf(entry: Entry, similarity: number): Candidate {
  const { entryId, latentKey } = entry;
  return { entryId, similarity, latentKey, ...lineageOf(entry) };
}

function remixNotFound(videoId: string): FlexCacheError {
  return new FlexCacheError(
    'not_found',
    `the remixed video ${videoId} is not in this part of the cache`,
    { field: 'remixOf', fix: 'remix a video of the same scope that is not evicted' },
  );
}
