import { totalmem } from 'node:os';
import { decodeLatent, type DecodedLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { shownParts } from '#core/latents/compose.ts';
import type { LookupPart } from '#core/generation.ts';
import type { NoiseSchedule } from '#core/latents/schedule.ts';
import type { AttendedTensor } from '#core/latents/tensor.ts';
import { donorParts, donorReading, type DonorReading } from '#denoiser/donors.ts';
import type { LatentReader } from '#models/latent-reader.ts';
import type { DonorParts, SamplePlan } from '#models/sample-run.ts';
import type { PromptCase } from './prompt-sets.ts';
import type { VideoOutcome } from './video-maker.ts';
import { packNumbers, unpackNumbers, type WorkRecord } from './work-file.ts';

/** A latent as the product stores it, with its lookup vectors. */
export interface StoredLatent {
  container: Uint8Array;
  /** Unit vectors of the parts; null if a part is absent. */
  vectors: { object: Float32Array | null; background: Float32Array | null };
}

/** A video that others may start from. */
export interface StoredDonor extends StoredLatent {
  key: string;
  of: PromptCase;
  outcome: VideoOutcome;
  /** The judge's logits; null without a judge. */
  logits: Float32Array | null;
}

/** Cache size for decoded latents, which many starts of a bin reuse. */
const DECODED_BYTES = Math.min(4 * 2 ** 30, totalmem() / 8);

/** Writes and reads latents as the product does, with a cache of decoded ones. */
export class DonorLatents {
  readonly #compatibilityKey: string;
  readonly #schedule: NoiseSchedule;
  readonly #decoded = new Map<string, DecodedLatent>();
  readonly #mostDecoded: number;

  constructor(compatibilityKey: string, schedule: NoiseSchedule, latentElements: number) {
    this.#compatibilityKey = compatibilityKey;
    this.#schedule = schedule;
    // Whole, object and background, float32 each.
    const bytes = 3 * latentElements * Float32Array.BYTES_PER_ELEMENT;
    this.#mostDecoded = Math.max(2, Math.floor(DECODED_BYTES / bytes));
  }

  /** Encodes finished latents to containers with part vectors. */
  async store(latents: readonly AttendedTensor[], reader: LatentReader): Promise<StoredLatent[]> {
    const masks = await reader.segment(latents);
    const videos = latents.map((latent, index) => {
      const mask = masks[index]!;
      return { latent, mask, parts: shownParts(mask).filter((part) => part !== 'whole') };
    });
    const vectors = (await reader.embedParts(videos)).values();
    const compatibilityKey = this.#compatibilityKey;
    return videos.map(({ latent, mask, parts }) => {
      const ofParts = new Map(parts.map((part) => [part, vectors.next().value!]));
      return {
        container: encodeLatent({ latent, mask, compatibilityKey }),
        vectors: {
          object: ofParts.get('object') ?? null,
          background: ofParts.get('background') ?? null,
        },
      };
    });
  }

  /** Returns the donor parts of a plan's run, as the worker reads them. */
  partsOf(
    donors: readonly { donor: StoredDonor; part: LookupPart }[],
    plan: SamplePlan,
  ): DonorParts {
    const reading = donorReading(plan, this.#schedule);
    return donorParts(
      donors.map(({ donor, part }) => ({
        donor: { entryId: donor.key, part, similarity: 1, latentKey: donor.key },
        latent: this.#decode(donor, reading),
      })),
    )!;
  }

  #decode({ key: donor, container }: StoredDonor, reading: DonorReading): DecodedLatent {
    const key = `${reading.layers} ${reading.noiseSeed} ${donor}`;
    let latent = this.#decoded.get(key);
    if (latent === undefined) {
      latent = decodeLatent(container, { compatibilityKey: this.#compatibilityKey }, reading);
    }
    // Reinserted, because the map's order is least recently used first.
    this.#decoded.delete(key);
    this.#decoded.set(key, latent);
    if (this.#decoded.size > this.#mostDecoded) {
      const [oldest] = this.#decoded.keys();
      this.#decoded.delete(oldest!);
    }
    return latent;
  }
}

/** Returns the fields that the work file keeps of a donor besides its outcome. */
export function donorRecord({ container, vectors }: StoredLatent): Record<string, unknown> {
  const { object, background } = vectors;
  return {
    container: Buffer.from(container).toString('base64'),
    object: object && packNumbers(object),
    background: background && packNumbers(background),
  };
}

export function storedDonorOf(
  record: WorkRecord,
  outcome: VideoOutcome,
  of: PromptCase,
): StoredDonor {
  const numbersOf = (field: string): Float32Array | null =>
    record[field] === null ? null : unpackNumbers(record[field]);
  return {
    key: record.key,
    of,
    outcome,
    logits: numbersOf('logits'),
    container: Buffer.from(String(record['container']), 'base64'),
    vectors: { object: numbersOf('object'), background: numbersOf('background') },
  };
}
