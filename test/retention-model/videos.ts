import { encodeLatent } from '#codec/encode-latent.ts';
import type { Entry, GenerationRequest, GenerationResult, Job } from '#core/generation.ts';
import { exactKey, latentObjectKey, promptKey, videoObjectKeys } from '#core/requests/identity.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { segmentOf } from '#aws/entry-items.ts';
import { sha256Of } from '#ports/object-key.ts';
import { vectorRecordsOf } from '#ports/vector-records.ts';
import {
  SAMPLE_FACTS,
  sampleEntry,
  sampleJob,
  sampleRequest,
  sampleResult,
} from '../aws/samples.ts';
import { SEGMENT, type World } from './world.ts';

export const COMPATIBILITY_KEY = 'c'.repeat(64);

const ID_CHARACTERS = 26;
const SHAPE = [1, 1, 2, 2];

/** What workers read latents by. */
export const EXPECTED_LATENT = { compatibilityKey: COMPATIBILITY_KEY, shape: SHAPE };

/**
 * An id that a schedule can be read by. All are in one segment of the table's index, so that the others
 * are of no concern to anybody.
 */
export function idOf(letter: string): string {
  for (let number = 1; ; number++) {
    const id = `vid_${letter}${String(number).padStart(ID_CHARACTERS - letter.length, '0')}`;
    if (segmentOf(id) === SEGMENT) return id;
  }
}

/** What a worker makes. Another making is other bytes: GPUs do not round alike. */
export interface Made {
  latent: Uint8Array;
  latentKey: string;
  video: Uint8Array;
  videoKey: string;
}

const made = new Map<string, Made>();

export function madeFor(videoId: string, making = 1): Made {
  const name = `${videoId} ${making}`;
  const known = made.get(name);
  if (known !== undefined) return known;
  const tensor = { data: standardNormalNoise(SHAPE, making, videoId).data, shape: SHAPE };
  const mask = { data: Float32Array.of(1, 0, 0, 0), shape: [1, 2, 2] };
  const latent = encodeLatent({ latent: tensor, mask, compatibilityKey: COMPATIBILITY_KEY });
  const video = Buffer.from(`the video ${name}`);
  const result = {
    latent,
    latentKey: latentObjectKey(videoId, latent),
    video,
    videoKey: videoObjectKeys(videoId, video).videoKey,
  };
  made.set(name, result);
  return result;
}

/** Vectors of requests: the stored video lies in the first direction. */
export const VECTORS = {
  same: [1, 0, 0, 0],
  near: [0.9, Math.sqrt(1 - 0.81), 0, 0],
  far: [0, 0, 0, 1],
} as const;

export function requestFor(
  videoId: string,
  changes: Partial<GenerationRequest> = {},
): GenerationRequest {
  return sampleRequest({ videoId, prompt: promptOf(videoId), ...changes });
}

/** Each video has a prompt of its own, and all ask for the same: any may start from the whole of another. */
function promptOf(videoId: string): string {
  const bits = [...videoId].map((character) => character.codePointAt(0)!.toString(2)).join('');
  return `a red ball ${bits.replaceAll('0', '.').replaceAll('1', ',')}`;
}

/** The request's job, under way. */
export async function submitted(
  { stores }: World,
  request: GenerationRequest,
  changes: Partial<Job> = {},
): Promise<void> {
  const time = new Date().toISOString();
  await stores.table.createJob(
    sampleJob({
      ...request,
      compatibilityKey: COMPATIBILITY_KEY,
      status: 'running',
      createdAt: time,
      updatedAt: time,
      ...changes,
    }),
  );
}

/** All keys of a video are one here: what holds for one holds for the others. */
export function keysOf({ videoKey }: Made) {
  return { videoKey, posterKey: videoKey, animationKey: videoKey, spritesheetKey: videoKey };
}

/** What the worker answers. */
export function answerOf(
  request: GenerationRequest,
  making: Made,
  changes: Partial<GenerationResult>,
): GenerationResult {
  const isStored = request.cache === 'auto' || request.cache === 'refresh';
  return {
    ...keysOf(making),
    facts: SAMPLE_FACTS,
    videoBytes: making.video.byteLength,
    latentKey: isStored ? making.latentKey : null,
    latentBytes: making.latent.byteLength,
    latentSha256: isStored ? sha256Of(making.latent) : null,
    vectors: { whole: isStored ? [...VECTORS.far] : null, object: null, background: null },
    hit: 'miss',
    donors: [],
    startTime: 1,
    anchor: 'none',
    stepsRun: 12,
    equivalentsRun: 12,
    seconds: { queue: 0.5, generate: 2 },
    usage: { step: 'generate', gpuSeconds: 2, networkEvaluations: 12 },
    ...changes,
  };
}

/** A finished video with its entry, as a commit leaves it. */
export async function stored(
  world: World,
  request: GenerationRequest,
  changes: Partial<Entry> = {},
): Promise<void> {
  const { table, objects, vectors } = world.stores;
  const making = madeFor(request.videoId);
  const { prompt, seed, steps, scope, tenant, videoId } = request;
  const partition = { compatibilityKey: COMPATIBILITY_KEY, scope, tenant };
  await objects.put(making.videoKey, making.video);
  await objects.put(making.latentKey, making.latent);
  const entry = sampleEntry({
    ...partition,
    ...keysOf(making),
    entryId: videoId,
    exactKey: exactKey({ prompt, seed, steps, remixOf: null, ...partition }),
    promptKey: promptKey({ prompt, ...partition }),
    prompt,
    objectPhrase: null,
    promptVectors: { object: null, background: null },
    latentKey: making.latentKey,
    latentBytes: making.latent.byteLength,
    latentSha256: sha256Of(making.latent),
    vectors: { whole: [...VECTORS.same], object: null, background: null },
    createdAt: new Date().toISOString(),
    ...changes,
  });
  await table.putEntry(entry);
  await vectors.put(vectorRecordsOf(entry));
  await submitted(world, request, {
    status: 'completed',
    result: sampleResult({ ...keysOf(making), hit: 'miss', donors: [] }),
  });
}
