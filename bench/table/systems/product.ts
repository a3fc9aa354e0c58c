import { decodeLatent, type DecodedLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { prefixBytes, readHeader } from '#codec/header.ts';
import type { Calibration } from '#core/planning/calibration.ts';
import { backgroundPart, dilate, fillDilatedHoles, objectPart } from '#core/latents/compose.ts';
import { FlexCacheError } from '#core/errors.ts';
import type {
  Entry,
  GenerationRequest,
  LookupPart,
  Plan,
  PromptEmbedding,
} from '#core/generation.ts';
import { videoIdForKey } from '#core/requests/identity.ts';
import { REQUEST_DEFAULTS } from '#core/requests/new-request.ts';
import type { JudgedAttribute } from '#core/planning/shown-attributes.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import { donorParts, donorReading, type DonorReading } from '#denoiser/donors.ts';
import { askedOf, readingOf } from '#functions/shared/store-outcome.ts';
import { createLookupHandler, type LookupServices } from '#functions/lookup/handler.ts';
import type { LeaseRequest } from '#ports/table.ts';
import type { VectorMatch, VectorScope } from '#ports/vector-index.ts';
import { HoldingsCounter } from '../holdings-counter.ts';
import { dot } from '../nearest.ts';
import type { PlannedVideos } from '../planned.ts';
import type { LatentNetworks } from '../networks.ts';
import type { BenchRequest } from '../requests.ts';
import type { Decision, Holdings, MadeVideo, System } from '../system.ts';

const FLOAT32_DIGITS = 9;
const TENANT = 'bench';

/** `benchCalibration` refuses packages whose start times are not noise levels. */
const NO_SHIFT = {};

export interface ProductOptions {
  steps: number;
  calibration: Calibration;
  compatibilityKey: string;
  judged: readonly JudgedAttribute[];
  latentShape: readonly number[];
  networks: LatentNetworks;
  /** Videos are planned and not made: what stands in for them, and the bytes of a latent. */
  planned?: { videos: PlannedVideos; latentBytes: number };
  /** Donors are what the codec gives back; without it what was generated. */
  usesCodec?: boolean;
  /** Objects and backgrounds are looked up apart. */
  decouples?: boolean;
  /** Entries are checked for what they show before they are donors. */
  verifies?: boolean;
}

/** What is stored of a latent: bytes, or where the codec is left out the parts themselves. */
type StoredLatent = { container: Uint8Array } | { parts: DecodedLatent };

/**
 * FlexCache itself: the product's look-up with its stores in memory, planner, calibration, verification, codec and
 * composing. What only a deployment has is left out: leases are granted, and everything is stored.
 */
export class Product implements System {
  readonly #options: ProductOptions;
  readonly #stores: MemoryStores;
  readonly #lookup: ReturnType<typeof createLookupHandler>;
  readonly #latents = new Map<string, StoredLatent>();
  readonly #counter = new HoldingsCounter();

  constructor(options: ProductOptions) {
    this.#options = options;
    this.#stores = new MemoryStores(options);
    const { calibration, compatibilityKey, judged, verifies = true } = options;
    this.#lookup = createLookupHandler({
      table: this.#stores,
      vectors: this.#stores,
      objects: this.#stores as unknown as LookupServices['objects'],
      calibration,
      compatibilityKey,
      judged: verifies ? judged : [],
    });
  }

  async decide(asked: BenchRequest, embedding: PromptEmbedding): Promise<Decision> {
    const request = requestOf(asked, this.#options.steps);
    this.#stores.asking = { request, embedding };
    const embed = { embedding, seconds: 0, usage: NO_USAGE, startedAt: 0 };
    const { plan } = await this.#lookup({ request, embed });
    if (plan.hit === 'exact') {
      throw new FlexCacheError(
        'internal',
        'a replay answers exact repeats before it asks a system',
      );
    }
    const { planned } = this.#options;
    const loaded = (planned ? [] : plan.donors).map((donor) => ({
      donor,
      latent: this.#load(donor.latentKey, donorReading(plan, NO_SHIFT)),
    }));
    return {
      hit: plan.hit,
      work: { plan, donors: donorParts(loaded) },
      note: { request, plan, embedding },
    };
  }

  recordedSteps(): readonly number[] {
    return [];
  }

  async store(videos: readonly MadeVideo[]): Promise<void> {
    if (videos.length === 0) return;
    const { planned } = this.#options;
    if (planned !== undefined) {
      this.#storePlanned(videos, planned);
      return;
    }
    const { networks } = this.#options;
    const latents = videos.map(({ latent }) => latent);
    const masks = await networks.segment(latents);
    const objects = videos.map(({ latent }, index) =>
      masks[index]!.data.some((value) => value > 0) ? objectPart(latent, masks[index]!) : null,
    );
    const backgrounds = videos.map(({ latent }, index) =>
      dilate(masks[index]!).data.some((value) => value === 0)
        ? backgroundPart(latent, masks[index]!)
        : null,
    );
    const all = [...latents, ...objects, ...backgrounds];
    const given = all.filter((latent) => latent !== null);
    const embedded = await networks.embed(given);
    const vectorOf = new Map(given.map((latent, index) => [latent, embedded[index]!]));
    for (const [index, video] of videos.entries()) {
      const vector = (latent: Tensor | null): number[] | null =>
        latent && Array.from(vectorOf.get(latent)!, (x) => Number(x.toPrecision(FLOAT32_DIGITS)));
      const { latentKey, latentBytes } = this.#keep(video, masks[index]!);
      const { request, plan, embedding } = video.decision.note as Noted;
      const donors = plan.donors.map(({ entryId, similarity }) => ({
        similarity,
        entry: this.#stores.stored(entryId),
      }));
      const vectors = {
        whole: vector(video.latent)!,
        object: vector(objects[index]!),
        background: vector(backgrounds[index]!),
      };
      this.#stores.add({
        ...askedOf(this.#options.compatibilityKey, request, embedding, donors),
        ...NO_FILES,
        latentKey,
        latentBytes,
        vectors,
        shown: video.judged.shown,
        createdAt: new Date(video.request.time * 1000).toISOString(),
        gpuSeconds: 0,
        stepsRun: video.evaluations,
      });
    }
  }

  #storePlanned(
    made: readonly MadeVideo[],
    { videos, latentBytes }: NonNullable<ProductOptions['planned']>,
  ): void {
    for (const { request: asked, decision } of made) {
      const { request, plan, embedding } = decision.note as Noted;
      const donors = plan.donors.map(({ entryId, similarity, part }) => ({
        similarity,
        part,
        entry: this.#stores.stored(entryId)!,
      }));
      this.#counter.store(latentBytes);
      this.#stores.add({
        ...askedOf(this.#options.compatibilityKey, request, embedding, donors),
        ...NO_FILES,
        latentKey: `latents/${asked.index}`,
        latentBytes,
        vectors: videos.vectors(asked.prompt, embedding),
        shown: videos.shown(asked, donors),
        createdAt: new Date(asked.time * 1000).toISOString(),
        gpuSeconds: 0,
        stepsRun: plan.steps,
      });
    }
  }

  holdings(): Holdings {
    return this.#counter.holdings;
  }

  #keep({ request, latent }: MadeVideo, mask: Tensor): { latentKey: string; latentBytes: number } {
    const { compatibilityKey, usesCodec = true } = this.#options;
    const latentKey = `latents/${request.index}`;
    let latentBytes: number;
    if (usesCodec) {
      const container = encodeLatent({ latent, mask, compatibilityKey });
      latentBytes = container.byteLength;
      this.#latents.set(latentKey, { container });
    } else {
      const dilatedMask = dilate(mask);
      latentBytes = latent.data.byteLength + elementCount(mask.shape) / 8;
      const parts = {
        whole: latent,
        object: objectPart(latent, mask),
        background: fillDilatedHoles(latent, dilatedMask),
        mask,
        dilatedMask,
        errorVariance: 0,
      };
      this.#latents.set(latentKey, { parts });
    }
    this.#counter.store(latentBytes);
    return { latentKey, latentBytes };
  }

  #load(latentKey: string, reading: DonorReading): DecodedLatent {
    const stored = this.#latents.get(latentKey)!;
    if ('parts' in stored) {
      this.#counter.read(stored.parts.whole.data.byteLength);
      return stored.parts;
    }
    const { compatibilityKey, latentShape: shape } = this.#options;
    const header = readHeader(stored.container, { compatibilityKey, shape });
    this.#counter.read(prefixBytes(header, reading.layers));
    return decodeLatent(stored.container, { compatibilityKey, shape }, reading);
  }
}

/** What is kept of a request until its video is stored. */
interface Noted {
  request: GenerationRequest;
  plan: Plan;
  embedding: PromptEmbedding;
}

function requestOf({ index, prompt, seed }: BenchRequest, steps: number): GenerationRequest {
  return {
    ...REQUEST_DEFAULTS,
    videoId: videoIdForKey(TENANT, `request ${index}`),
    prompt,
    seed,
    steps,
    tenant: TENANT,
  };
}

const NO_USAGE = {} as never;
const NO_FILES = {
  latentSha256: '',
  videoKey: 'none',
  posterKey: 'none',
  animationKey: 'none',
  spritesheetKey: 'none',
  videoBytes: 0,
};

/** Table, index and objects of one tenant in memory, as the look-up asks for them. */
class MemoryStores {
  /** Who asks now: without verification entries are taken to show what this asks for. */
  asking: { request: GenerationRequest; embedding: PromptEmbedding } | null = null;
  readonly #entries = new Map<string, Entry>();
  readonly #byExactKey = new Map<string, Entry>();
  readonly #byPromptKey = new Map<string, Entry[]>();
  readonly #decouples: boolean;
  readonly #verifies: boolean;

  constructor({ decouples = true, verifies = true }: ProductOptions) {
    this.#decouples = decouples;
    this.#verifies = verifies;
  }

  add(entry: Entry): void {
    this.#entries.set(entry.entryId, entry);
    if (!this.#byExactKey.has(entry.exactKey)) this.#byExactKey.set(entry.exactKey, entry);
    this.#byPromptKey.set(entry.promptKey, [
      entry,
      ...(this.#byPromptKey.get(entry.promptKey) ?? []),
    ]);
  }

  stored(entryId: string): Entry | null {
    return this.#entries.get(entryId) ?? null;
  }

  async getJob(): Promise<null> {
    return null;
  }

  async recordUsage(): Promise<void> {}

  async findExact(): Promise<null> {
    return null;
  }

  async findSamePrompt(promptKey: string, limit: number): Promise<Entry[]> {
    return (this.#byPromptKey.get(promptKey) ?? []).slice(0, limit);
  }

  async getEntry(entryId: string): Promise<Entry | null> {
    const entry = this.stored(entryId);
    if (entry === null || this.#verifies) return entry;
    const { shown: _, unheardWords: __, ...unverified } = entry;
    const { request, embedding } = this.asking!;
    return { ...unverified, prompt: request.prompt, ...readingOf(embedding) };
  }

  async leaseEntry({ entryId }: LeaseRequest): Promise<Entry | null> {
    const entry = this.stored(entryId);
    if (entry !== null) entry.hits++;
    return entry;
  }

  async withdrawLease({ entryId }: LeaseRequest): Promise<void> {
    const entry = this.stored(entryId);
    if (entry !== null) entry.hits--;
  }

  async query(
    { part }: VectorScope,
    vector: readonly number[],
    topK: number,
  ): Promise<VectorMatch[]> {
    if (part !== 'whole' && !this.#decouples) return [];
    const matches: VectorMatch[] = [];
    for (const { entryId, vectors } of this.#entries.values()) {
      const stored = vectors[part satisfies LookupPart];
      if (stored !== null) matches.push({ entryId, similarity: dot(vector, stored) });
    }
    return matches.sort((one, other) => other.similarity - one.similarity).slice(0, topK);
  }

  async head(key: string): Promise<object> {
    return { key, bytes: 0, sha256: '', modifiedAt: 0 };
  }
}
