import { decodeLatent, type DecodedLatent } from '#codec/decode-latent.ts';
import { mostContainerBytes, type ExpectedLatent } from '#codec/header.ts';
import { FlexCacheError, LatentFormatError } from '#core/errors.ts';
import type { Donor } from '#core/generation.ts';
import type { ObjectStore } from '#stores/objects.ts';
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

/**
 * Fetches and decodes the latents of donors. A latent that is missing, torn, foreign or longer than
 * any of its shape drops its donor; any other error is thrown.
 *
 * @param expected of the package; nothing beyond its extents is fetched or allocated
 */
export async function loadDonors(
  donors: readonly Donor[],
  objects: Pick<ObjectStore, 'get'>,
  expected: Required<ExpectedLatent>,
): Promise<LoadedDonors> {
  const result: LoadedDonors = { loaded: [], dropped: [] };
  const latents = new Map<string, DecodedLatent>();
  for (const donor of donors) {
    try {
      let latent = latents.get(donor.latentKey);
      if (latent === undefined) {
        const atMostBytes = mostContainerBytes(expected.shape);
        latent = decodeLatent(await objects.get(donor.latentKey, { atMostBytes }), expected);
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

function isUnusable(error: unknown): error is FlexCacheError {
  if (error instanceof LatentFormatError) return true;
  return error instanceof FlexCacheError && UNUSABLE.has(error.code);
}

/** The parts that the donors of a plan contribute; null when there is no donor. */
export function donorParts(donors: readonly LoadedDonor[]): DonorParts | null {
  if (donors.length === 0) return null;
  const parts: DonorParts = { object: null, background: null };
  for (const { donor, latent } of donors) {
    if (donor.part !== 'background') parts.object = latent;
    if (donor.part !== 'object') {
      parts.background = latent.background;
      parts.hole = latent.dilatedMask;
    }
  }
  return parts;
}
