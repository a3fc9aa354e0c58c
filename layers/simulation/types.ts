import type { Calibration } from '#core/planning/calibration.ts';
import { HIT_KINDS, type HitKind, type LookupPart, type Scope } from '#core/generation.ts';
import type { PriceBook } from '#core/pricing/prices.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';
import type { TraceRequest, TraceVectors } from './traces/trace-request.ts';

/** A request with its embeddings. */
export type ReplayedRequest = TraceRequest & {
  vectors: TraceVectors;
  /** How well the video will show its prompt; fully by default. */
  shown?: Shown;
};

/**
 * Cosine of the vectors of a video and its own prompt, by part. The similarity of another prompt to
 * the video is its similarity to the video's prompt times this factor.
 */
export type Shown = { readonly [Part in LookupPart]: number };

export const POLICY_NAMES = ['rent', 'lru', 'lfu', 'fifo', 'lcbfu', 'gdsf', 'none', 'all'] as const;

export type PolicyName = (typeof POLICY_NAMES)[number];

/** Capacity of a simulated cache; null sets no limit. */
export interface Capacity {
  entries: number | null;
  latentBytes: number | null;
}

/** A small tier over object storage without latency, charged by size regardless of content. */
export interface FastTier {
  bytes: number;
  dollarsPerGbMonth: number;
}

/** One cache to simulate. All caches of a run replay the same requests. */
export interface CacheSetup {
  policy: PolicyName;
  capacity: Capacity;
  fastTier: FastTier | null;
}

export interface SimulationOptions {
  caches: readonly CacheSetup[];
  book: PriceBook;
  calibration: Calibration;
  scope: Scope;
  /** Network evaluations of a full generation. */
  steps: number;
  secondsPerEvaluation: number;
  dollarsPerGpuSecond: number;
  latentBytes: number;
  storageClass: StorageClass;
  /** GPU seconds that a worker waits for a latent from object storage: constant, and per byte. */
  fetch: { seconds: number; bytesPerSecond: number };
}

/** `same-prompt` is a whole donor of the same prompt with another seed. */
export type SimulatedHit = HitKind | 'same-prompt';

/** Kinds of hits, best first. */
export const SIMULATED_HITS: readonly SimulatedHit[] = HIT_KINDS.flatMap((hit) =>
  hit === 'exact' ? ([hit, 'same-prompt'] as const) : [hit],
);

export interface CacheResult {
  setup: CacheSetup;
  requests: number;
  hits: Record<SimulatedHit, number>;
  /** Network evaluations, and those of full generations for all requests. */
  evaluations: number;
  fullEvaluations: number;
  /**
   * Mean share of skipped evaluations in the first pass: without exact replays and repeated
   * prompts.
   */
  semanticSkippedShare: number;
  /** Mean share of skipped evaluations over all requests. */
  skippedShare: number;
  dollars: {
    /** Evaluations and waits for latents. */
    gpu: number;
    /** Rent of entries, including the fast tier. */
    storage: number;
    /** Object and vector requests of the cache. */
    requests: number;
    total: number;
  };
  entries: { stored: number; refused: number; evicted: number; atEnd: number; most: number };
  latentBytes: { atEnd: number; most: number };
  fastTierHits: number;
}

export interface SimulationResult {
  requests: number;
  /** Epoch milliseconds of the first and the last request. */
  from: number;
  to: number;
  caches: CacheResult[];
}
