import { createHash, randomBytes } from 'node:crypto';
import { FlexCacheError, InvalidInputError } from '../errors.ts';
import type { MediaKeys, Scope } from '../generation.ts';
import { hashFields } from '../hash.ts';
import type { Condition } from './condition.ts';
import { promptForKeys } from './prompt.ts';
import type { NoiseSchedule } from '../latents/schedule.ts';

/** Crockford's base32 (crockford.com/base32.html): no I, L, O, U. */
const CROCKFORD_BASE32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const ID_BYTES = 16;
const ID_CHARACTERS = 26;
const CONTENT_HASH_CHARACTERS = 16;

/** `vid_` and 26 Crockford base32 characters; fits the name of a workflow execution. */
export const VIDEO_ID_PATTERN = /^vid_[0-9A-HJKMNP-TV-Z]{26}$/;

/** `bkf_` and 26 Crockford base32 characters; fits the name of a workflow execution. */
export const BACKFILL_ID_PATTERN = /^bkf_[0-9A-HJKMNP-TV-Z]{26}$/;

/** A video id, and from the second attempt on `-` and the attempt. */
const EXECUTION_NAME_PATTERN = /^(vid_[0-9A-HJKMNP-TV-Z]{26})(?:-([1-9][0-9]*))?$/;

/** A video id that nobody else has: 128 random bits. */
export function randomVideoId(): string {
  return idFromBytes('vid', randomBytes(ID_BYTES));
}

/** A backfill id that nobody else has: 128 random bits. */
export function randomBackfillId(): string {
  return idFromBytes('bkf', randomBytes(ID_BYTES));
}

/** The id of an API key that no other has: 128 random bits. */
export function randomKeyId(): string {
  return idFromBytes('key', randomBytes(ID_BYTES));
}

/**
 * The video id of an idempotency key: the same key of the same tenant always names the same video.
 *
 * @param place of the video among those of its request, from 0
 * @throws InvalidInputError when the key is empty.
 */
export function videoIdForKey(tenant: string, idempotencyKey: string, place = 0): string {
  const others = place === 0 ? [] : [place];
  return idFromBytes('vid', bytesForKey('video-id', tenant, idempotencyKey, ...others));
}

/**
 * The backfill id of an idempotency key: the same key of the same tenant always names the same
 * backfill.
 *
 * @throws InvalidInputError when the key is empty.
 */
export function backfillIdForKey(tenant: string, idempotencyKey: string): string {
  return idFromBytes('bkf', bytesForKey('backfill-id', tenant, idempotencyKey));
}

function bytesForKey(
  kind: string,
  tenant: string,
  idempotencyKey: string,
  ...others: readonly number[]
): Uint8Array {
  if (idempotencyKey.length === 0) {
    throw new InvalidInputError(
      'idempotencyKey',
      'idempotency key is empty',
      'give a key of at least one character, or none at all',
    );
  }
  return Buffer.from(hashFields([kind, tenant, idempotencyKey, ...others]), 'hex').subarray(
    0,
    ID_BYTES,
  );
}

function idFromBytes(kind: 'vid' | 'bkf' | 'key', bytes: Uint8Array): string {
  let bits = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  const characters: string[] = [];
  for (let index = 0; index < ID_CHARACTERS; index++) {
    characters.unshift(CROCKFORD_BASE32.charAt(Number(bits & 31n)));
    bits >>= 5n;
  }
  return `${kind}_${characters.join('')}`;
}

/** Name of the workflow execution that makes a video: a name can be used once, so each attempt has its own. */
export function executionName(videoId: string, attempt: number): string {
  return attempt === 1 ? videoId : `${videoId}-${attempt}`;
}

/** @throws FlexCacheError `internal` when no video's execution is named like this. */
export function videoIdOfExecution(name: string): string {
  return parseExecutionName(name).videoId;
}

/** From 1. @throws FlexCacheError `internal` when no video's execution is named like this. */
export function attemptOfExecution(name: string): number {
  return parseExecutionName(name).attempt;
}

function parseExecutionName(name: string): { videoId: string; attempt: number } {
  const [, videoId, attempt = '1'] = EXECUTION_NAME_PATTERN.exec(name) ?? [];
  if (videoId !== undefined) return { videoId, attempt: Number(attempt) };
  throw new FlexCacheError('internal', `${JSON.stringify(name)} names no execution of a video`);
}

/** What must agree before one video's latent may start another's. */
export interface Compatibility {
  /** Digest of the model package. */
  modelRevision: string;
  /** Extents of the latent. */
  latent: { channels: number; frames: number; height: number; width: number };
  scheduler: { type: string; guidance: number } & NoiseSchedule;
  /** What guidance leads away from; the empty prompt unless given. */
  negativePrompt?: string;
}

/** sha256, hexadecimal: entries are donors inside one compatibility key only. */
export function compatibilityKey({
  modelRevision,
  latent,
  scheduler,
  negativePrompt = '',
}: Compatibility): string {
  return hashFields([
    'compatibility',
    modelRevision,
    latent.channels,
    latent.frames,
    latent.height,
    latent.width,
    scheduler.type,
    scheduler.guidance,
    ...scheduleFields(scheduler),
    ...(negativePrompt === '' ? [] : ['negative prompt', negativePrompt]),
  ]);
}

/** Digits of a compatibility key that all requests of one package share. */
const PACKAGE_DIGITS = 16;

/**
 * The compatibility key of a request: the package's own, unless the request departs from the package in
 * what its denoiser reads beside the prompt. Latents of other guidance, or of another first image, are no donors of
 * each other.
 *
 * @param packageKey of `compatibilityKey`; its first digits stay, so that all of a package's are told by them
 */
export function requestCompatibilityKey(
  packageKey: string,
  { guidanceScale, negativePrompt, image }: Condition,
): string {
  if (guidanceScale === undefined && negativePrompt === undefined && image === undefined) {
    return packageKey;
  }
  const hash = hashFields([
    'request compatibility',
    packageKey,
    ...(guidanceScale === undefined ? [] : ['guidance scale', guidanceScale]),
    ...(negativePrompt === undefined ? [] : ['negative prompt', negativePrompt]),
    ...(image === undefined ? [] : ['image', image]),
  ]);
  return `${packageDigits(packageKey)}${hash.slice(PACKAGE_DIGITS)}`;
}

/** What a package's compatibility keys, of whatever guidance, have in common. */
export function packageDigits(key: string): string {
  return key.slice(0, PACKAGE_DIGITS);
}

/** None where start times are noise levels: then keys are those of before there were others. */
function scheduleFields({ shift = 1, sigmas }: NoiseSchedule): (string | number)[] {
  if (sigmas !== undefined) return ['sigmas', ...sigmas];
  return shift === 1 ? [] : ['shift', shift];
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

/**
 * Where a request looks for donors, and where its entry is stored.
 *
 * @param packageKey compatibility key of the package
 */
export function partitionOf(
  packageKey: string,
  request: Condition & Pick<CachePartition, 'scope' | 'tenant'>,
): CachePartition {
  const { scope, tenant } = request;
  return { compatibilityKey: requestCompatibilityKey(packageKey, request), scope, tenant };
}

/** What a partition is told by: the tenant of a shared one says nothing. */
function partitionFields({ compatibilityKey, scope, tenant }: CachePartition): string[] {
  return [scope, scope === 'tenant' ? tenant : '', compatibilityKey];
}

/** Whether two partitions are one: the tenant counts only where the scope is `tenant`. */
export function isSamePartition(one: CachePartition, other: CachePartition): boolean {
  return (
    one.compatibilityKey === other.compatibilityKey &&
    one.scope === other.scope &&
    (one.scope === 'shared' || one.tenant === other.tenant)
  );
}

/** sha256, hexadecimal: the same prompt with any seed, inside one partition. */
export function promptKey(request: { prompt: string } & CachePartition): string {
  return hashFields(['prompt', ...partitionFields(request), promptForKeys(request.prompt)]);
}

/**
 * sha256, hexadecimal: the same prompt, seed and steps, inside one partition. A remix is another
 * request than the prompt alone, and than a remix of another video.
 */
export function exactKey(
  request: {
    prompt: string;
    seed: number;
    steps: number;
    remixOf: string | null;
  } & CachePartition,
): string {
  return hashFields([
    'exact',
    ...partitionFields(request),
    promptForKeys(request.prompt),
    request.seed,
    request.steps,
    request.remixOf ?? '',
  ]);
}

/** `latents/{videoId}/{16 hex of the content's sha256}.fcl` */
export function latentObjectKey(videoId: string, content: Uint8Array): string {
  return `latents/${videoId}/${contentHash(content)}.fcl`;
}

/**
 * `videos/{videoId}/{16 hex of the MP4's sha256}.mp4`, with `.webp`, `.png` and `.jpg` (the
 * spritesheet) beside it under the same name.
 */
export function videoObjectKeys(videoId: string, mp4: Uint8Array): MediaKeys {
  const stem = `videos/${videoId}/${contentHash(mp4)}`;
  return {
    videoKey: `${stem}.mp4`,
    animationKey: `${stem}.webp`,
    posterKey: `${stem}.png`,
    spritesheetKey: `${stem}.jpg`,
  };
}

/** What requests bring along: of no use once their jobs have ended. */
export const INPUT_PREFIX = 'inputs/';

/** `inputs/{videoId}/{sha256 of the file}`: the first image of a video. */
export function imageObjectKey(videoId: string, image: string): string {
  return `${INPUT_PREFIX}${videoId}/${image}`;
}

/** Where workers that are told to stop leave what they have done; what lies here long is of no use. */
export const CHECKPOINT_PREFIX = 'checkpoints/';

/** `checkpoints/{videoId}/checkpoint.bin`: one per video, the last one counts. */
export function checkpointObjectKey(videoId: string): string {
  return `${CHECKPOINT_PREFIX}${videoId}/checkpoint.bin`;
}

function contentHash(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, CONTENT_HASH_CHARACTERS);
}
