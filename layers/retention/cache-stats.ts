import { decayedTo, decayWeight, HALF_LIFE_MILLISECONDS } from '#core/retention/decay.ts';
import { SECONDS_PER_MONTH } from '#core/retention/estimate-value.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';

/** Maximum models whose speed is tracked separately; further ones share one speed. */
const MAX_MODELS = 64;

/** Seconds per evaluation before any measurement: typical of a small model. */
const ASSUMED_SECONDS_PER_EVALUATION = 1;

/** Stored form of `CacheStats`. */
export interface CacheStatsRecord {
  entries: number;
  vectors: number;
  /**
   * Sum over the vector queries for new entries, each weighted by the `decayWeight` of its time.
   */
  queries: number;
  /** Epoch milliseconds of the first entry; null before. */
  firstAt: number | null;
  /** Compatibility, seconds in the denoiser, network evaluations. */
  speeds: [string, number, number][];
}

export const NO_CACHE_STATS: CacheStatsRecord = {
  entries: 0,
  vectors: 0,
  queries: 0,
  firstAt: null,
  speeds: [],
};

/** Statistics over all entries: number of searched vectors, query rate, and speed of models. */
export class CacheStats {
  #entries = 0;
  #vectors = 0;
  #queries: number;
  #firstAt: number | null;
  readonly #speeds: Map<string, { seconds: number; evaluations: number }>;

  constructor({ entries, vectors, queries, firstAt, speeds }: CacheStatsRecord = NO_CACHE_STATS) {
    this.#entries = entries;
    this.#vectors = vectors;
    this.#queries = queries;
    this.#firstAt = firstAt;
    this.#speeds = new Map(
      speeds.map(([model, seconds, evaluations]) => [model, { seconds, evaluations }]),
    );
  }

  /** Starts the next statistics: recounts entries and continues the query rate. */
  static after(last: CacheStatsRecord): CacheStats {
    return new CacheStats({ ...NO_CACHE_STATS, queries: last.queries, firstAt: last.firstAt });
  }

  /**
   * Adds an entry. A request without an exact answer queries the index once per part of its prompt
   * and leaves an entry with about as many vectors, so new entries reveal the number of queries.
   * Queries of requests that store nothing are unknown.
   *
   * @param since epoch milliseconds; earlier statistics counted the entries before
   */
  add(entry: EvictionCandidate, createdAt: number, since: number, until: number): void {
    this.#entries++;
    this.#vectors += entry.vectors;
    this.#firstAt = Math.min(this.#firstAt ?? Infinity, createdAt);
    if (createdAt > since && createdAt <= until) {
      this.#queries += entry.vectors * decayWeight(createdAt);
    }
    const { compatibility, denoiseSeconds, gpuSeconds, stepsRun } = entry;
    if (stepsRun <= 0) return;
    const speed = this.#speedOf(compatibility);
    speed.seconds += denoiseSeconds ?? gpuSeconds;
    speed.evaluations += stepsRun;
  }

  get entries(): number {
    return this.#entries;
  }

  get vectors(): number {
    return this.#vectors;
  }

  /**
   * Computes the monthly query rate. The decayed sum of a constant rate converges to rate *
   * half-life / ln 2, of which it has reached 1 - 2^-(age / half-life); the observed sum is divided
   * by that.
   */
  queriesPerMonth(now: number): number {
    if (this.#firstAt === null) return 0;
    const age = Math.max(HALF_LIFE_MILLISECONDS / 1000, now - this.#firstAt);
    const seen = 1 - 2 ** (-age / HALF_LIFE_MILLISECONDS);
    const perMillisecond =
      (decayedTo(this.#queries, now) * Math.LN2) / (HALF_LIFE_MILLISECONDS * seen);
    return perMillisecond * 1000 * SECONDS_PER_MONTH;
  }

  secondsPerEvaluation(compatibility: string): number {
    const speed = this.#speeds.get(compatibility) ?? this.#speeds.get(OTHERS);
    if (speed !== undefined) return speed.seconds / speed.evaluations;
    return ASSUMED_SECONDS_PER_EVALUATION;
  }

  toJSON(): CacheStatsRecord {
    return {
      entries: this.#entries,
      vectors: this.#vectors,
      queries: this.#queries,
      firstAt: this.#firstAt,
      speeds: [...this.#speeds].map(([model, { seconds, evaluations }]) => [
        model,
        seconds,
        evaluations,
      ]),
    };
  }

  #speedOf(compatibility: string): { seconds: number; evaluations: number } {
    const isKnown = this.#speeds.has(compatibility) || this.#speeds.size < MAX_MODELS;
    const model = isKnown ? compatibility : OTHERS;
    let speed = this.#speeds.get(model);
    if (speed === undefined) this.#speeds.set(model, (speed = { seconds: 0, evaluations: 0 }));
    return speed;
  }
}

const OTHERS = 'others';
