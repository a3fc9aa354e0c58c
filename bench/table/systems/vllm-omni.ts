import { dot } from '../nearest.ts';
import { NoisyStateCache, type NoisyStateOptions, type StoredStates } from './noisy-states.ts';
import type { FullGeneration } from '../system.ts';

/** Steps of 50 that a hit at the threshold skips. */
const MIN_SKIP_OF_50 = 5;
const BYTES_PER_FLOAT = 4;

/** `t2t * sigmoid(10 (t2i - 0.1))`: prompts that are alike, less where the stored video shows something else. */
export function penalised(textToText: number, textToVideo: number): number {
  return textToText / (1 + Math.exp(-10 * (textToVideo - 0.1)));
}

/** Steps skipped: `min_skip + int(r (N / 2 - min_skip))` with `r` the place between threshold and 1. */
export function skipAbove(threshold: number, steps: number): (similarity: number) => number {
  const least = Math.max(1, Math.round((MIN_SKIP_OF_50 * steps) / 50));
  const most = Math.max(least, Math.floor(steps / 2));
  return (similarity) => {
    if (similarity < threshold) return 0;
    const place = (similarity - threshold) / (1 - threshold);
    return Math.min(most, least + Math.floor(place * (steps / 2 - least)));
  };
}

/**
 * The semantic tier of vLLM-Omni's inter-request cache (RFC 3978, pull requests 4853 and 4937), which is also the first stage of
 * Chorus: all step latents in 32 bits, whole prompts.
 */
export function vllmOmniCache(
  full: FullGeneration,
  threshold: number,
  embedVideos: NonNullable<NoisyStateOptions['embedVideos']>,
): NoisyStateCache {
  const half = Math.max(1, Math.floor(full.steps / 2));
  return new NoisyStateCache({
    full,
    skip: skipAbove(threshold, full.steps),
    // No more than half of the steps are ever resumed from; the bytes are those of all.
    stored: Array.from({ length: half }, (_, index) => index + 1),
    bytesOf: (elements) => (elements * BYTES_PER_FLOAT * full.steps) / half,
    bytesRead: (elements) => elements * BYTES_PER_FLOAT,
    storesHits: true,
    score: (cosine, asked, { video }: StoredStates) => penalised(cosine, dot(asked, video!)),
    embedVideos,
  });
}
