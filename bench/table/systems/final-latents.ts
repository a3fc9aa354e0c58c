import type { PromptEmbedding } from '#core/generation.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { renoise } from '#core/latents/schedule.ts';
import { BYTES_PER_HALF, fromHalf, toHalf, type HalfTensor } from '../half-floats.ts';
import { HoldingsCounter } from '../holdings-counter.ts';
import { skippedSteps, type Ladder } from '../ladder.ts';
import { NearestSearch } from '../nearest.ts';
import type { LatentNetworks } from '../networks.ts';
import type { BenchRequest } from '../requests.ts';
import {
  fullWork,
  type Decision,
  type FullGeneration,
  type Holdings,
  type MadeVideo,
  type System,
} from '../system.ts';
import { resumedWork } from './noisy-states.ts';

export interface FinalLatentOptions {
  full: FullGeneration;
  /** By the cosine of the request's prompt and the entry's video. */
  ladder: Ladder;
  networks: Pick<LatentNetworks, 'embed'>;
}

/**
 * MoDM (arXiv 2503.11972) carried over to video and to one model: finished latents, found by their video's
 * vector, re-noised to the step that the similarity allows. Its own thresholds are of CLIP and do not carry over.
 */
export class FinalLatentCache implements System {
  readonly #options: FinalLatentOptions;
  readonly #entries = new NearestSearch<HalfTensor>();
  readonly #counter = new HoldingsCounter();

  constructor(options: FinalLatentOptions) {
    this.#options = options;
  }

  async decide(request: BenchRequest, { vectors }: PromptEmbedding): Promise<Decision> {
    const { full, ladder } = this.#options;
    const nearest = this.#entries.find(vectors.whole);
    const skipped = nearest === null ? 0 : skippedSteps(ladder, nearest.similarity);
    if (nearest === null || skipped === 0) return { hit: 'miss', work: fullWork(request, full) };
    const { item } = nearest;
    this.#counter.read(item.data.byteLength);
    const noise = standardNormalNoise(item.shape, request.seed, 'start');
    const noisy = renoise(fromHalf(item), 1 - skipped / full.steps, noise);
    return { hit: 'whole', work: resumedWork(request, full, skipped, noisy) };
  }

  recordedSteps(): readonly number[] {
    return [];
  }

  async store(videos: readonly MadeVideo[]): Promise<void> {
    const vectors = await this.#options.networks.embed(videos.map(({ latent }) => latent));
    for (const [index, { latent }] of videos.entries()) {
      this.#entries.add(vectors[index]!, toHalf(latent));
      this.#counter.store(latent.data.length * BYTES_PER_HALF);
    }
  }

  holdings(): Holdings {
    return this.#counter.holdings;
  }
}
