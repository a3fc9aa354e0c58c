import { createHash, randomBytes } from 'node:crypto';
import { InvalidInputError } from './errors.ts';
import type { Scope } from './generation.ts';
import { hashFields } from './hash.ts';
import { promptForKeys } from './prompt.ts';

/** Crockford's base32 (crockford.com/base32.html): no I, L, O, U. */
const CROCKFORD_BASE32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const VIDEO_ID_BYTES = 16;
const VIDEO_ID_CHARACTERS = 26;
const CONTENT_HASH_CHARACTERS = 16;

/** `vid_` and 26 Crockford base32 characters; fits the name of a workflow execution. */
export const VIDEO_ID_PATTERN = /^vid_[0-9A-HJKMNP-TV-Z]{26}$/;

/** A video id that nobody else has: 128 random bits. */
export function randomVideoId(): string {
  return videoIdFromBytes(randomBytes(VIDEO_ID_BYTES));
}

/**
 * The video id of an idempotency key: the same key of the same tenant always names the same video.
 *
 * @throws InvalidInputError when the key is empty.
 */
export function videoIdForKey(tenant: string, idempotencyKey: string): string {
  if (idempotencyKey.length === 0) {
    throw new InvalidInputError(
      'idempotencyKey',
      'idempotency key is empty',
      'give a key of at least one character, or none at all',
    );
  }
  const digest = Buffer.from(hashFields(['video-id', tenant, idempotencyKey]), 'hex');
  return videoIdFromBytes(digest.subarray(0, VIDEO_ID_BYTES));
}

function videoIdFromBytes(bytes: Uint8Array): string {
  let bits = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  const characters: string[] = [];
  for (let index = 0; index < VIDEO_ID_CHARACTERS; index++) {
    characters.unshift(CROCKFORD_BASE32.charAt(Number(bits & 31n)));
    bits >>= 5n;
  }
  return `vid_${characters.join('')}`;
}

/** What must agree before one video's latent may start another's. */
export interface Compatibility {
  /** Digest of the model package. */
  modelRevision: string;
  /** Extents of the latent. */
  latent: { channels: number; frames: number; height: number; width: number };
  scheduler: { type: string; guidance: number };
}

/** sha256, hexadecimal: entries are donors inside one compatibility key only. */
export function compatibilityKey({ modelRevision, latent, scheduler }: Compatibility): string {
  return hashFields([
    'compatibility',
    modelRevision,
    latent.channels,
    latent.frames,
    latent.height,
    latent.width,
    scheduler.type,
    scheduler.guidance,
  ]);
}

/**
 * What entries are looked up and stored inside: nothing of one partition is ever a donor in another.
 * The tenant counts only where the scope is `tenant`.
 */
export interface CachePartition {
  compatibilityKey: string;
  scope: Scope;
  tenant: string;
}

/** sha256, hexadecimal: the same prompt with any seed, inside one tenant and compatibility key. */
export function promptKey(request: {
  prompt: string;
  tenant: string;
  compatibilityKey: string;
}): string {
  return hashFields([
    'prompt',
    request.tenant,
    request.compatibilityKey,
    promptForKeys(request.prompt),
  ]);
}

/** sha256, hexadecimal: the same prompt, seed and steps, inside one tenant and compatibility key. */
export function exactKey(request: {
  prompt: string;
  seed: number;
  steps: number;
  tenant: string;
  compatibilityKey: string;
}): string {
  return hashFields([
    'exact',
    request.tenant,
    request.compatibilityKey,
    promptForKeys(request.prompt),
    request.seed,
    request.steps,
  ]);
}

/** `latents/{videoId}/{16 hex of the content's sha256}.fcl` */
export function latentObjectKey(videoId: string, content: Uint8Array): string {
  return `latents/${videoId}/${contentHash(content)}.fcl`;
}

/** Object keys of a finished video. */
export interface VideoObjectKeys {
  videoKey: string;
  animationKey: string;
  posterKey: string;
}

/**
 * `videos/{videoId}/{16 hex of the MP4's sha256}.mp4`, with `.webp` and `.png` beside it under the
 * same name.
 */
export function videoObjectKeys(videoId: string, mp4: Uint8Array): VideoObjectKeys {
  const stem = `videos/${videoId}/${contentHash(mp4)}`;
  return { videoKey: `${stem}.mp4`, animationKey: `${stem}.webp`, posterKey: `${stem}.png` };
}

function contentHash(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, CONTENT_HASH_CHARACTERS);
}
