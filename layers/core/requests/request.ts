import { storedNumber } from '../decimals.ts';
import { InvalidInputError } from '../errors.ts';
import {
  CACHE_MODES,
  POOLS,
  SCOPES,
  type CacheMode,
  type GenerationRequest,
  type Pool,
  type Scope,
} from '../generation.ts';
import { validateImage } from './first-image.ts';
import { VIDEO_ID_PATTERN } from './identity.ts';
import type { GuidanceChoice } from './guidance.ts';
import { validateNegativePrompt, validatePrompt } from './prompt.ts';

/** Seeds are unsigned 32-bit integers: the noise generator's own width. */
export const MAX_SEED = 2 ** 32 - 1;

/** More evaluations than any rectified-flow paper uses; a bound on what one request may cost. */
export const MAX_STEPS = 200;

/** 1 is no guidance; videos of larger scales than this are oversaturated whatever the model. */
export const MIN_GUIDANCE_SCALE = 1;
export const MAX_GUIDANCE_SCALE = 20;

/** 1 to 64 characters; safe inside table keys and object keys. */
export const TENANT_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** A request as it arrives: nothing about it is known yet. */
export type RawRequest = { readonly [Field in keyof GenerationRequest]: unknown };

/**
 * Checks every field of a request and returns it with the prompt normalised. Defaults are the
 * caller's business: every field must be there.
 *
 * @throws InvalidInputError naming the first wrong field, what was expected and the fix.
 */
export function validateRequest(raw: RawRequest): GenerationRequest {
  const request: GenerationRequest = {
    videoId: validateVideoId(raw.videoId),
    prompt: validatePrompt(raw.prompt),
    seed: validateSeed(raw.seed),
    cache: validateCacheMode(raw.cache),
    steps: validateSteps(raw.steps),
    ...validateGuidance(raw),
    ...(raw.image !== undefined && { image: validateImage(raw.image) }),
    tenant: validateTenant(raw.tenant),
    scope: validateScope(raw.scope),
    minSimilarity: validateShare('minSimilarity', raw.minSimilarity),
    maxReuse: validateShare('maxReuse', raw.maxReuse),
    remixOf: validateRemixOf(raw.remixOf),
    pool: validatePool(raw.pool),
  };
  if (request.remixOf !== null && (request.cache === 'off' || request.cache === 'refresh')) {
    throw new InvalidInputError(
      'remixOf',
      `a remix starts from a stored video, which cache mode ${request.cache} forbids`,
      'use cache mode auto or readonly, or leave remixOf out',
    );
  }
  return request;
}

/** @throws InvalidInputError unless it is `vid_` and 26 Crockford base32 characters. */
export function validateVideoId(videoId: unknown): string {
  if (typeof videoId === 'string' && VIDEO_ID_PATTERN.test(videoId)) return videoId;
  throw new InvalidInputError(
    'videoId',
    `video id ${shown(videoId)} is not "vid_" and 26 characters`,
    'use the id that submitting the video returned',
  );
}

/** @throws InvalidInputError unless it is an integer 0..4294967295. */
export function validateSeed(seed: unknown): number {
  if (isIntegerIn(seed, 0, MAX_SEED)) return storedNumber(seed);
  throw new InvalidInputError(
    'seed',
    `seed ${shown(seed)} is not an integer from 0 to ${MAX_SEED}`,
    `give a whole number from 0 to ${MAX_SEED}, or leave the seed out`,
  );
}

/** @throws InvalidInputError unless it is an integer 1..200. */
export function validateSteps(steps: unknown): number {
  if (isIntegerIn(steps, 1, MAX_STEPS)) return steps;
  throw new InvalidInputError(
    'steps',
    `steps ${shown(steps)} is not an integer from 1 to ${MAX_STEPS}`,
    `give a whole number from 1 to ${MAX_STEPS}, or leave the steps out`,
  );
}

/**
 * What a request says of guidance; what it leaves out stays out.
 *
 * @throws InvalidInputError naming the field
 */
export function validateGuidance({
  guidanceScale,
  negativePrompt,
}: Pick<RawRequest, keyof GuidanceChoice>): GuidanceChoice {
  return {
    ...(guidanceScale !== undefined && { guidanceScale: validateGuidanceScale(guidanceScale) }),
    ...(negativePrompt !== undefined && { negativePrompt: validateNegativePrompt(negativePrompt) }),
  };
}

/** @throws InvalidInputError naming the field unless it is a number 1..20. */
export function validateGuidanceScale(scale: unknown, field = 'guidanceScale'): number {
  if (typeof scale === 'number' && scale >= MIN_GUIDANCE_SCALE && scale <= MAX_GUIDANCE_SCALE) {
    return scale;
  }
  throw new InvalidInputError(
    field,
    `guidance scale ${shown(scale)} is not a number from ${MIN_GUIDANCE_SCALE} to ${MAX_GUIDANCE_SCALE}`,
    `give a number from ${MIN_GUIDANCE_SCALE} to ${MAX_GUIDANCE_SCALE}, or leave the guidance scale out`,
  );
}

/** @throws InvalidInputError naming the field unless it is a number above 0. */
export function validatePositiveNumber(field: string, value: unknown): number {
  if (typeof value === 'number' && value > 0 && value < Infinity) return storedNumber(value);
  throw new InvalidInputError(
    field,
    `${field} ${shown(value)} is not a number above 0`,
    `give a number, or leave ${field} out`,
  );
}

/** @throws InvalidInputError unless it is one of `CACHE_MODES`. */
export function validateCacheMode(mode: unknown): CacheMode {
  return oneOf('cache', mode, CACHE_MODES);
}

/** @throws InvalidInputError unless it matches `TENANT_PATTERN`. */
export function validateTenant(tenant: unknown): string {
  if (typeof tenant === 'string' && TENANT_PATTERN.test(tenant)) return tenant;
  throw new InvalidInputError(
    'tenant',
    `tenant ${shown(tenant)} is not a valid name`,
    'use 1 to 64 letters, digits, "_" and "-", starting with a letter or digit',
  );
}

/** @throws InvalidInputError unless it is one of `SCOPES`. */
export function validateScope(scope: unknown): Scope {
  return oneOf('scope', scope, SCOPES);
}

/** @throws InvalidInputError unless it is one of `POOLS`. */
export function validatePool(pool: unknown): Pool {
  return oneOf('pool', pool, POOLS);
}

/** @throws InvalidInputError naming the field unless it is a number 0..1. */
export function validateShare(field: 'minSimilarity' | 'maxReuse', share: unknown): number {
  if (typeof share === 'number' && share >= 0 && share <= 1) return storedNumber(share);
  throw new InvalidInputError(
    field,
    `${field} ${shown(share)} is not a number from 0 to 1`,
    `give a number from 0 to 1, or leave ${field} out`,
  );
}

/** @throws InvalidInputError unless it is null or a video id. */
export function validateRemixOf(videoId: unknown): string | null {
  if (videoId === null) return null;
  if (typeof videoId === 'string' && VIDEO_ID_PATTERN.test(videoId)) return videoId;
  throw new InvalidInputError(
    'remixOf',
    `remixOf ${shown(videoId)} is not the id of a video`,
    'use the id of a finished video of yours, or leave remixOf out',
  );
}

function oneOf<Value>(field: string, value: unknown, known: readonly Value[]): Value {
  const found = known.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new InvalidInputError(
    field,
    `${field} ${shown(value)} is not known`,
    `use one of ${known.join(', ')}`,
  );
}

function isIntegerIn(value: unknown, lowest: number, highest: number): value is number {
  return (
    typeof value === 'number' && Number.isInteger(value) && value >= lowest && value <= highest
  );
}

const MAX_SHOWN_CHARACTERS = 80;

/** A value in a message, cut where it is long. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= MAX_SHOWN_CHARACTERS ? text : `${text.slice(0, MAX_SHOWN_CHARACTERS)}...`;
}
