import type { HitKind, PromptEmbedding, SolverName } from '#core/generation.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import type { DonorParts, SamplePlan } from '#models/sample-run.ts';
import type { Judgement } from './networks.ts';
import type { BenchRequest } from './requests.ts';

/** A full generation of one row of the table. */
export interface FullGeneration {
  solver: SolverName;
  /** Network evaluations. */
  steps: number;
}

/** What a system wants denoised for a request. */
export interface Work {
  plan: SamplePlan;
  donors: DonorParts | null;
  /** A stored noisy latent that the plan's start time belongs to; instead of donors. */
  noisy?: Tensor;
}

/** What a system does with a request. */
export interface Decision {
  hit: HitKind;
  work: Work;
  /** For the system's own bookkeeping. */
  note?: unknown;
}

/** A video that was made, and what the networks say of it. */
export interface MadeVideo {
  request: BenchRequest;
  decision: Decision;
  latent: Tensor;
  /** Of the denoising, by steps done, those that the system asked for. */
  states: ReadonlyMap<number, Tensor>;
  evaluations: number;
  /** Compute that ran, in evaluations of all tokens. */
  equivalents: number;
  judged: Judgement;
}

/** What a cache holds at the end. */
export interface Holdings {
  entries: number;
  bytes: number;
  /** That hits have read so far. */
  bytesRead: number;
}

/**
 * A caching system under test. Requests are decided in the order of their turns; what is stored is seen by all that
 * are decided after it.
 */
export interface System {
  decide(request: BenchRequest, embedding: PromptEmbedding): Promise<Decision>;
  /** Steps after which the noisy latent is to be recorded, of a full generation or of what is left of it. */
  recordedSteps(decision: Decision): readonly number[];
  store(videos: readonly MadeVideo[]): Promise<void>;
  holdings(): Holdings;
}

/** A full generation of a request. */
export function fullWork({ seed }: BenchRequest, { solver, steps }: FullGeneration): Work {
  return {
    plan: { startTime: 1, steps, seed, solver, anchor: 'none' },
    donors: null,
  };
}
