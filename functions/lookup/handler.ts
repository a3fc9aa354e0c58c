import {
  LOOKUP_PARTS,
  type Entry,
  type GenerationRequest,
  type LookupPart,
  type Plan,
  type PromptEmbedding,
} from '#core/generation.ts';
import { exactKey, isSamePartition, promptKey, type CachePartition } from '#core/identity.ts';
import { makePlan, type Candidate } from '#core/plan.ts';
import type { VectorMatch } from '#stores/vector-index.ts';
import {
  deployedModel,
  deployedTable,
  deployedVectors,
  lazily,
  reuseRules,
  type Services,
} from '../services.ts';
import type { LookupInput, LookupOutput } from '../states.ts';
import { entryUnits, StepMeter } from '../step-meter.ts';
import { namingErrors } from '../task-error.ts';

/** Longer than a generation takes: a donor must not be evicted before the worker has read it. */
export const LEASE_MILLISECONDS = 15 * 60 * 1000;

/** Candidates asked for each part: enough to find one whose lease is granted. */
export const CANDIDATES_PER_PART = 8;

type LookupServices = Pick<Services, 'table' | 'vectors' | 'calibration' | 'compatibilityKey'>;

type Candidates = Record<LookupPart, Candidate[]>;

/** Finds what a request may start from, leases it, and says what will be done. */
export function createLookupHandler(
  services: LookupServices,
): (input: LookupInput) => Promise<LookupOutput> {
  return namingErrors(async ({ request, embed }) => {
    const meter = new StepMeter('lookup');
    const lookup = new Lookup(services, request, embed.embedding);
    const plan = await lookup.plan();
    return { plan, seconds: meter.seconds, usage: meter.usage(lookup.usage) };
  });
}

class Lookup {
  readonly #services: LookupServices;
  readonly #request: GenerationRequest;
  readonly #embedding: PromptEmbedding;
  readonly #units: { read: number; write: number };
  readonly usage = { tableReadUnits: 0, tableWriteUnits: 0, vectorQueries: 0 };

  constructor(services: LookupServices, request: GenerationRequest, embedding: PromptEmbedding) {
    this.#services = services;
    this.#request = request;
    this.#embedding = embedding;
    this.#units = entryUnits(embedding.vectors.whole.length);
  }

  async plan(): Promise<Plan> {
    if (this.#request.cache === 'off' || this.#request.cache === 'refresh') {
      return this.#makePlan(null, noCandidates());
    }
    const [exact, samePrompt] = await Promise.all([this.#findExact(), this.#findSamePrompt()]);
    if (exact !== null && (await this.#lease(exact.entryId))) {
      return this.#makePlan(exact.entryId, noCandidates());
    }
    return this.#leaseDonors(await this.#findCandidates(samePrompt));
  }

  /** Plans and leases until every donor of the plan is ours; a refused one is out of the game. */
  async #leaseDonors(candidates: Candidates): Promise<Plan> {
    const leased = new Set<string>();
    for (;;) {
      const plan = this.#makePlan(null, candidates);
      const wanted = new Set(plan.donors.map((donor) => donor.entryId));
      const refused: string[] = [];
      for (const entryId of wanted) {
        if (leased.has(entryId)) continue;
        if (await this.#lease(entryId)) leased.add(entryId);
        else refused.push(entryId);
      }
      if (refused.length === 0) return plan;
      for (const part of LOOKUP_PARTS) {
        candidates[part] = candidates[part].filter(({ entryId }) => !refused.includes(entryId));
      }
    }
  }

  #makePlan(exactVideoId: string | null, candidates: Candidates): Plan {
    const { calibration } = this.#services;
    return makePlan({ request: this.#request, exactVideoId, candidates, calibration });
  }

  async #lease(entryId: string): Promise<boolean> {
    const now = Date.now();
    this.usage.tableWriteUnits += this.#units.write;
    const entry = await this.#services.table.leaseEntry({
      entryId,
      holder: this.#request.videoId,
      now,
      leaseUntil: now + LEASE_MILLISECONDS,
      partition: this.#partition,
    });
    return entry !== null;
  }

  #findExact(): Promise<Entry | null> {
    this.usage.tableReadUnits += this.#units.read;
    const { prompt, seed, steps, remixOf } = this.#request;
    return this.#services.table.findExact(
      exactKey({ prompt, seed, steps, remixOf, ...this.#partition }),
    );
  }

  async #findSamePrompt(): Promise<Entry[]> {
    const { prompt } = this.#request;
    const entries = await this.#services.table.findSamePrompt(
      promptKey({ prompt, ...this.#partition }),
      CANDIDATES_PER_PART,
    );
    this.usage.tableReadUnits += entries.length * this.#units.read;
    return entries;
  }

  async #findCandidates(samePrompt: readonly Entry[]): Promise<Candidates> {
    const matches = await Promise.all(LOOKUP_PARTS.map((part) => this.#query(part)));
    const entries = new Map(samePrompt.map((entry) => [entry.entryId, entry]));
    const proposed = new Set(matches.flat().map((match) => match.entryId));
    await Promise.all(
      [...proposed].map(async (entryId) => {
        if (entries.has(entryId)) return;
        this.usage.tableReadUnits += this.#units.read;
        const entry = await this.#services.table.getEntry(entryId);
        if (entry !== null) entries.set(entryId, entry);
      }),
    );

    const candidates = noCandidates();
    for (const [index, part] of LOOKUP_PARTS.entries()) {
      const similarities = new Map(
        matches[index]!.map((match) => [match.entryId, match.similarity]),
      );
      if (part === 'whole') for (const { entryId } of samePrompt) similarities.set(entryId, 1);
      for (const [entryId, similarity] of similarities) {
        const entry = entries.get(entryId);
        if (entry === undefined || !this.#isUsable(entry)) continue;
        const { latentKey, generation } = entry;
        candidates[part].push({ entryId, similarity, latentKey, generation });
      }
    }
    return candidates;
  }

  /** Matches that are similar enough to be worth reading their entries. */
  async #query(part: LookupPart): Promise<VectorMatch[]> {
    const vector = this.#embedding.vectors[part];
    if (vector === null) return [];
    this.usage.vectorQueries++;
    const { vectors, calibration } = this.#services;
    const matches = await vectors.query({ ...this.#partition, part }, vector, CANDIDATES_PER_PART);
    return matches.filter(({ similarity }) => calibration.decide(part, similarity, Infinity));
  }

  /** A run that crashed may have left the entry of this very video. */
  #isUsable(entry: Entry): boolean {
    return (
      entry.state === 'READY' &&
      entry.entryId !== this.#request.videoId &&
      isSamePartition(entry, this.#partition)
    );
  }

  get #partition(): CachePartition {
    const { compatibilityKey } = this.#services;
    const { scope, tenant } = this.#request;
    return { compatibilityKey, scope, tenant };
  }
}

function noCandidates(): Candidates {
  return { whole: [], object: [], background: [] };
}

export const handler = lazily(async () =>
  createLookupHandler({
    table: deployedTable(),
    vectors: deployedVectors(),
    ...reuseRules(await deployedModel()),
  }),
);
