import { decodeLatent, type DecodedLatent } from '#codec/decode-latent.ts';
import {
  likelyPrefixBytes,
  mostContainerBytes,
  prefixBytes,
  readHeader,
  requireLength,
  type ExpectedLatent,
} from '#codec/header.ts';
import { LAYERS, layersFor } from '#codec/layers.ts';
import { FlexCacheError, LatentFormatError } from '#core/errors.ts';
import type { Donor, Plan } from '#core/generation.ts';
import { noiseLevel, type NoiseSchedule } from '#core/latents/schedule.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { refuseLongObject } from '#ports/errors.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { DonorParts } from '#models/sample-run.ts';

/** A donor whose latent could be read. */
export interface LoadedDonor {
  donor: Donor;
  latent: DecodedLatent;
}

/** A donor that cannot be used, and why. */
export interface DroppedDonor {
  donor: Donor;
  error: FlexCacheError;
}

export interface LoadedDonors {
  loaded: LoadedDonor[];
  dropped: DroppedDonor[];
}

const UNUSABLE: ReadonlySet<string> = new Set(['object_missing', 'object_corrupt']);

/** How the latents of a plan's donors are read. */
export interface DonorReading {
  layers: number;
  /** Where the run noises them again; absent where they are shown as they are. */
  noiseSeed?: number;
}

/**
 * How a plan's donors are to be read: the more noise a run starts with, the less it sees of them. A plan that holds on
 * to its donor's background shows it in the end, and needs all of it.
 *
 * @param schedule of the package
 */
export function donorReading(
  { anchor, startTime, seed }: Pick<Plan, 'anchor' | 'startTime' | 'seed'>,
  schedule: NoiseSchedule,
): DonorReading {
  if (anchor !== 'none') return { layers: LAYERS };
  return { layers: layersFor(noiseLevel(schedule, startTime)), noiseSeed: seed };
}

/**
 * Fetches and decodes the latents of donors. A latent that is missing, torn, foreign or longer than
 * any of its shape drops its donor; any other error is thrown.
 *
 * @param expected of the package; nothing beyond its extents is fetched or allocated
 */
export async function loadDonors(
  donors: readonly Donor[],
  objects: Pick<ObjectStore, 'get' | 'getRange'>,
  expected: Required<ExpectedLatent>,
  reading: DonorReading,
): Promise<LoadedDonors> {
  const result: LoadedDonors = { loaded: [], dropped: [] };
  const latents = new Map<string, DecodedLatent>();
  for (const donor of donors) {
    try {
      let latent = latents.get(donor.latentKey);
      if (latent === undefined) {
        const file = await fetchLayers(objects, donor.latentKey, expected, reading.layers);
        latent = decodeLatent(file, expected, reading);
        latents.set(donor.latentKey, latent);
      }
      result.loaded.push({ donor, latent });
    } catch (error) {
      if (!isUnusable(error)) throw error;
      result.dropped.push({ donor, error });
    }
  }
  return result;
}

/** The first layers of a latent: in one request for nearly all latents, in two for those that are larger. */
async function fetchLayers(
  objects: Pick<ObjectStore, 'get' | 'getRange'>,
  key: string,
  expected: Required<ExpectedLatent>,
  layers: number,
): Promise<Uint8Array> {
  if (layers === LAYERS) {
    return await objects.get(key, { atMostBytes: mostContainerBytes(expected.shape) });
  }
  const likely = likelyPrefixBytes(expected.shape, layers);
  const { body, objectBytes } = await objects.getRange(key, 0, likely);
  refuseLongObject(key, objectBytes, mostContainerBytes(expected.shape));
  const header = readHeader(body, expected);
  requireLength(header, objectBytes);
  const needed = prefixBytes(header, layers);
  if (body.byteLength >= needed) return body;
  const rest = await objects.getRange(key, body.byteLength, needed - body.byteLength);
  return new Uint8Array(Buffer.concat([body, rest.body]));
}

function isUnusable(error: unknown): error is FlexCacheError {
  if (error instanceof LatentFormatError) return true;
  return error instanceof FlexCacheError && UNUSABLE.has(error.code);
}

/** The parts that the donors of a plan contribute; null when there is no donor. */
export function donorParts(donors: readonly LoadedDonor[]): DonorParts | null {
  if (donors.length === 0) return null;
  let object: DecodedLatent | null = null;
  let background: DecodedLatent | null = null;
  for (const { donor, latent } of donors) {
    if (donor.part !== 'background') object = latent;
    if (donor.part !== 'object') background = latent;
  }
  return {
    object,
    background: background === null ? null : background.background,
    ...(background && { hole: background.dilatedMask }),
    errorVariance: composedErrorVariance(object, background),
  };
}

/**
 * The variance of the noise in composed donors, `[T, H, W]`: each donor's where it gives the values, and none
 * where a hole of the background is filled with means or no donor gives anything.
 */
function composedErrorVariance(
  object: DecodedLatent | null,
  background: DecodedLatent | null,
): Tensor | null {
  const ofObject = object?.errorVariance ?? 0;
  const ofBackground = background?.errorVariance ?? 0;
  const mask = (object ?? background)?.dilatedMask;
  if (mask === undefined || (ofObject === 0 && ofBackground === 0)) return null;
  const inside = object?.dilatedMask.data;
  const holes = background?.dilatedMask.data;
  const data = new Float32Array(mask.data.length);
  for (let index = 0; index < data.length; index++) {
    if (inside !== undefined && inside[index]! > 0) data[index] = ofObject;
    else if (holes !== undefined && holes[index]! <= 0) data[index] = ofBackground;
  }
  return { data, shape: mask.shape };
}
