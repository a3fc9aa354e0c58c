import type { PromptEmbedding } from '#core/generation.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { BYTES_PER_HALF, fromHalf, toHalf, type HalfTensor } from '../half-floats.ts';
import { HoldingsCounter } from '../holdings-counter.ts';
import { NearestSearch, type Nearest } from '../nearest.ts';
import type { BenchRequest } from '../requests.ts';
import {
  fullWork,
  type Decision,
  type FullGeneration,
  type Holdings,
  type MadeVideo,
  type System,
} from '../system.ts';

/** A finished request of such a cache. */
export interface StoredStates {
  /** By steps done; those before a hit's start are the donor's. */
  states: Map<number, HalfTensor>;
  /** Vector of the video, for systems that compare prompts with it. */
  video: Float32Array | null;
}

export interface NoisyStateOptions {
  full: FullGeneration;
  /** How many steps to skip for the similarity of the nearest entry. */
  skip(similarity: number): number;
  /** Steps whose states are stored. */
  stored: readonly number[];
  /** Bytes of one state, by its number of elements; half floats unless given. */
  bytesOf?(elements: number): number;
  /** Bytes that a hit reads; one half float for each element unless given. */
  bytesRead?(elements: number): number;
  /** Whether what a hit made is stored too. */
  storesHits: boolean;
  /** Similarity of a request and an entry from the cosine of their prompts; that cosine itself unless given. */
  score?(cosine: number, asked: ArrayLike<number>, entry: StoredStates): number;
  /** Vectors of videos, where `score` wants them. */
  embedVideos?(latents: readonly Tensor[]): Promise<Float32Array[]>;
}

/**
 * Caches that keep noisy latents of several steps of each generation and resume the nearest one's with the new
 * prompt: NIRVANA carried over to video, and the inter-request cache of vLLM-Omni. What is compared is prompts, as
 * texts, whole.
 */
export class NoisyStateCache implements System {
  readonly #options: NoisyStateOptions;
  readonly #entries = new NearestSearch<StoredStates>();
  readonly #counter = new HoldingsCounter();

  constructor(options: NoisyStateOptions) {
    this.#options = options;
  }

  async decide(request: BenchRequest, { vectors }: PromptEmbedding): Promise<Decision> {
    const { full, skip, score, bytesRead = halfBytes } = this.#options;
    const nearest = this.#entries.find(
      vectors.whole,
      score && ((cosine, entry) => score(cosine, vectors.whole, entry)),
    );
    const note = { prompt: vectors.whole, donor: nearest };
    const skipped = nearest === null ? 0 : latestStored(nearest, skip(nearest.similarity));
    if (skipped === 0) {
      return { hit: 'miss', work: fullWork(request, full), note: { ...note, donor: null } };
    }
    const state = nearest!.item.states.get(skipped)!;
    this.#counter.read(bytesRead(state.data.length));
    return { hit: 'whole', work: resumedWork(request, full, skipped, fromHalf(state)), note };
  }

  recordedSteps({ hit }: Decision): readonly number[] {
    return hit === 'miss' || this.#options.storesHits ? this.#options.stored : [];
  }

  async store(videos: readonly MadeVideo[]): Promise<void> {
    const { storesHits, stored, bytesOf = halfBytes, embedVideos } = this.#options;
    const kept = videos.filter(({ decision }) => decision.hit === 'miss' || storesHits);
    const vectors = kept.length === 0 ? [] : await embedVideos?.(kept.map(({ latent }) => latent));
    for (const [index, { decision, states }] of kept.entries()) {
      const { prompt, donor } = decision.note as {
        prompt: number[];
        donor: Nearest<StoredStates> | null;
      };
      const own = new Map<number, HalfTensor>();
      let bytes = 0;
      for (const step of stored) {
        const state = states.get(step);
        if (state !== undefined) {
          own.set(step, toHalf(state));
          bytes += bytesOf(state.data.length);
        } else {
          const shared = donor?.item.states.get(step);
          if (shared !== undefined) own.set(step, shared);
        }
      }
      this.#counter.store(bytes);
      this.#entries.add(prompt, { states: own, video: vectors?.[index] ?? null });
    }
  }

  holdings(): Holdings {
    return this.#counter.holdings;
  }
}

/** A full generation without its first steps, from a noisy latent of that step. */
export function resumedWork(
  { seed }: BenchRequest,
  { solver, steps }: FullGeneration,
  skipped: number,
  noisy: Tensor,
): Decision['work'] {
  const left = steps - skipped;
  return {
    plan: { startTime: left / steps, steps: left, seed, solver, anchor: 'none' },
    donors: null,
    noisy,
  };
}

/** The largest step up to this one whose state the donor has; 0 where it has none. */
function latestStored({ item }: Nearest<StoredStates>, skipped: number): number {
  return Math.max(0, ...[...item.states.keys()].filter((step) => step <= skipped));
}

function halfBytes(elements: number): number {
  return elements * BYTES_PER_HALF;
}
