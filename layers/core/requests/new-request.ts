import { randomInt } from 'node:crypto';
import { seedOfVideo } from './capabilities.ts';
import type { GenerationRequest } from '../generation.ts';
import { conditionOf } from './condition.ts';
import { randomVideoId, videoIdForKey } from './identity.ts';
import { MAX_SEED, validateRequest, validateTenant } from './request.ts';

/** What somebody asks for, before validation; what is left out takes the default. */
export interface RequestInput extends Partial<Omit<GenerationRequest, 'videoId'>> {
  prompt: string;
  tenant: string;
  /** Same key of the same tenant, same video id: a rerun finds the job instead of making another. */
  idempotencyKey?: string;
}

/** What a request is made with where it does not say. */
export const REQUEST_DEFAULTS = {
  cache: 'auto',
  scope: 'tenant',
  minSimilarity: 0,
  maxReuse: 1,
  remixOf: null,
  pool: 'interactive',
} as const satisfies Partial<GenerationRequest>;

/**
 * The whole request of what was asked for. A seed is drawn where none is given.
 *
 * @param defaults `steps`: the package's tuned number of network evaluations
 * @throws InvalidInputError naming the first wrong field, what was expected and the fix.
 * @example
 * const request = newRequest({ prompt: 'a red ball', tenant }, { steps: manifest.scheduler.steps });
 */
export function newRequest(input: RequestInput, defaults: { steps: number }): GenerationRequest {
  const { idempotencyKey, ...asked } = input;
  const tenant = validateTenant(asked.tenant);
  return validateRequest({
    videoId: idempotencyKey === undefined ? randomVideoId() : videoIdForKey(tenant, idempotencyKey),
    prompt: asked.prompt,
    seed: asked.seed ?? randomInt(MAX_SEED + 1),
    cache: asked.cache ?? REQUEST_DEFAULTS.cache,
    steps: asked.steps ?? defaults.steps,
    ...conditionOf(asked),
    tenant,
    scope: asked.scope ?? REQUEST_DEFAULTS.scope,
    minSimilarity: asked.minSimilarity ?? REQUEST_DEFAULTS.minSimilarity,
    maxReuse: asked.maxReuse ?? REQUEST_DEFAULTS.maxReuse,
    remixOf: asked.remixOf ?? REQUEST_DEFAULTS.remixOf,
    pool: asked.pool ?? REQUEST_DEFAULTS.pool,
  });
}

/**
 * The requests of the videos of one request, each with an id and a seed of its own. The first is what
 * `newRequest` makes, so that a key that was used for another number of videos is found out by it.
 *
 * @param videos of `videosOf`
 * @throws InvalidInputError as `newRequest`
 */
export function newRequests(
  input: RequestInput,
  videos: number,
  defaults: { steps: number },
): GenerationRequest[] {
  const first = newRequest(input, defaults);
  const { idempotencyKey } = input;
  const others = Array.from({ length: videos - 1 }, (_, index) => ({
    ...first,
    videoId:
      idempotencyKey === undefined
        ? randomVideoId()
        : videoIdForKey(first.tenant, idempotencyKey, index + 1),
    seed: seedOfVideo(first.seed, index + 1),
  }));
  return [first, ...others];
}
