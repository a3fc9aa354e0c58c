import type { Calibration } from '#core/planning/calibration.ts';
import { HIT_KINDS, type HitKind, type LookupPart, type Scope } from '#core/generation.ts';
import type { PriceBook } from '#core/pricing/prices.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';
import type { TraceRequest, TraceVectors } from './traces/trace-request.ts';

/** A request whose prompt was embedded. */
export type ReplayedRequest = TraceRequest & {
  vectors: TraceVectors;
  /** How much of its prompt the video will show; all of it unless said. */
  shown?: Shown;
};

/**
 * Cosine of the vectors of a video and of its own prompt, by part. Another prompt is as near to the
 * video as it is to the prompt, times this.
 */
export type Shown = { readonly [Part in LookupPart]: number };

export const POLICY_NAMES = ['rent', 'lru', 'lfu', 'fifo', 'lcbfu', 'gdsf', 'none', 'all'] as const;

export type PolicyName = (typeof POLICY_NAMES)[number];

/** How much a simulated cache may hold; null sets no limit. */
export interface Capacity {
  entries: number | null;
  latentBytes: number | null;
}

/** A small tier over object storage, paid by its size whatever is in it, that answers at once. */
export interface FastTier {
  bytes: number;
  dollarsPerGbMonth: number;
}

/** One cache to simulate. All caches of a run see the same requests. */
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
  /** GPU seconds that a worker waits for a latent from object storage, and for each byte of it. */
  fetch: { seconds: number; bytesPerSecond: number };
}

/** `same-prompt` is a whole donor of the very same prompt with another seed. */
export type SimulatedHit = HitKind | 'same-prompt';

/** The best first. */
export const SIMULATED_HITS: readonly SimulatedHit[] = HIT_KINDS.flatMap((hit) =>
  hit === 'exact' ? ([hit, 'same-prompt'] as const) : [hit],
);

export interface CacheResult {
  setup: CacheSetup;
  requests: number;
  hits: Record<SimulatedHit, number>;
  /** Network evaluations run, and those that full generations of all requests would have run. */
  evaluations: number;
  fullEvaluations: number;
  /** Mean share of the evaluations that was skipped, first pass: without exact replays and repeated prompts. */
  semanticSkippedShare: number;
  /** The same of all requests. */
  skippedShare: number;
  dollars: {
    /** Evaluations and waiting for latents. */
    gpu: number;
    /** Rent of what was kept, the fast tier included. */
    storage: number;
    /** Reads and writes of objects and vectors for the cache. */
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
