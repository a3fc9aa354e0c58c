import { equivalentsRun } from '#core/planning/equivalents.ts';
import { FlexCacheError } from '#core/errors.ts';
import {
  mediaFilesOf,
  type Admission,
  type Entry,
  type GenerationRequest,
  type GenerationResult,
  type JobResult,
  type LookupPart,
  type Plan,
  type PromptEmbedding,
  type ReplacedWork,
} from '#core/generation.ts';
import { exactKey, partitionOf, promptKey } from '#core/requests/identity.ts';
import { lineageAfter, lineageOf } from '#core/planning/lineage.ts';
import { vectorRecordsOf } from '#ports/vector-records.ts';
import { unheardWordsOf } from '#core/planning/verify-donor.ts';
import type { Services } from './services.ts';
import type { CommitInput } from './states.ts';
import type { AdmissionRule } from '../commit/cache-admission.ts';

export interface StoringServices extends Pick<Services, 'table' | 'vectors' | 'compatibilityKey'> {
  /** Every entry is stored unless given. */
  addsLittle?: AdmissionRule;
}

/**
 * Stores what a video leaves in the cache, entry before vectors, and says what became of its request.
 *
 * @param work what making it took, by all of its workers
 */
export async function storeOutcome(
  services: StoringServices,
  input: CommitInput,
  work: ReplacedWork | null,
): Promise<Omit<JobResult, 'seconds' | 'fullSteps'>> {
  const { request, lookup, generation } = input;
  if (generation === undefined) {
    const entry = await requireExactEntry(services, lookup.plan);
    if (entry.entryId === request.videoId) {
      // Our own earlier run stopped after its entry; its vectors may be missing.
      await services.vectors.put(vectorRecordsOf(entry));
    }
    return { ...exactOutcome(entry), admission: exactAdmission(entry, request) };
  }
  const admission = await admit(services, input, generation, work);
  return { ...generatedOutcome(generation), admission };
}

/**
 * Stores what a generation leaves behind, unless its cache mode forbids it or it adds too little. The
 * latent of a video that is refused stays to the sweep: nothing is named that might be deleted.
 */
async function admit(
  services: StoringServices,
  input: CommitInput,
  generation: GenerationResult,
  work: ReplacedWork | null,
): Promise<Admission> {
  const { table, addsLittle } = services;
  const donors = await Promise.all(generation.donors.map(({ entryId }) => table.getEntry(entryId)));
  const made = entryOf(services, input, generation, work, donors);
  if (made === null) return { stored: false, reason: 'cache_mode' };
  const { fullSteps } = input.lookup.plan;
  const question = { made, donors, isWhole: generation.hit === 'whole', fullSteps };
  // The very request was answered before, and that video is gone: this one answers it from now on.
  const isAnswer = donors.some((donor) => donor?.exactKey === made.exactKey);
  // What an earlier run has stored, stays.
  if (
    !isAnswer &&
    (await addsLittle?.(question)) &&
    (await table.getEntry(made.entryId)) === null
  ) {
    return { stored: false, reason: 'adds_little' };
  }
  await store(services, made);
  if (input.request.cache === 'refresh') await supersede(services, input.request);
  return { stored: true };
}

async function requireExactEntry({ table }: StoringServices, plan: Plan): Promise<Entry> {
  const entry = plan.exactVideoId === null ? null : await table.getEntry(plan.exactVideoId);
  // Of a tombstone nothing is left, its video neither where its job was deleted.
  if (entry !== null && entry.state !== 'TOMBSTONE') return entry;
  throw new FlexCacheError(
    'not_found',
    `the video ${plan.exactVideoId} that answers this request is gone from the cache`,
    { fix: 'submit the request again' },
  );
}

/** The entry that a generation leaves behind; null when its cache mode forbids it. */
function entryOf(
  { compatibilityKey }: StoringServices,
  { request, embed, lookup }: CommitInput,
  generation: GenerationResult,
  work: ReplacedWork | null,
  donors: readonly (Entry | null)[],
): Entry | null {
  const { latentKey, latentSha256 } = generation;
  const vectors = vectorsOf(generation, embed.embedding);
  const { cache } = request;
  if (cache === 'off' || cache === 'readonly') return null;
  if (latentKey === null || latentSha256 === null || vectors.whole === null) return null;
  const links = generation.donors.map(({ similarity }, index) => ({
    similarity,
    entry: donors[index] ?? null,
  }));
  return {
    ...askedOf(compatibilityKey, request, embed.embedding, links),
    latentKey,
    latentBytes: generation.latentBytes,
    latentSha256,
    ...mediaFilesOf(generation),
    facts: generation.facts,
    vectors: { ...vectors, whole: vectors.whole },
    ...(generation.shown && { shown: generation.shown }),
    ...(lookup.neighbours !== undefined && { neighbours: lookup.neighbours }),
    createdAt: new Date().toISOString(),
    gpuSeconds: work?.gpuSeconds ?? 0,
    ...(work?.denoiseSeconds !== undefined && { denoiseSeconds: work.denoiseSeconds }),
    stepsRun: equivalentsRun(generation),
  };
}

/** Of a video, or of the prompt that it was made for, where no network of the package describes videos. */
function vectorsOf(
  { vectors, describedByPrompt }: GenerationResult,
  embedding: PromptEmbedding,
): GenerationResult['vectors'] {
  if (describedByPrompt === undefined) return vectors;
  const ofPart = (part: LookupPart): number[] | null =>
    describedByPrompt.includes(part) ? embedding.vectors[part] : null;
  return { whole: ofPart('whole'), object: ofPart('object'), background: ofPart('background') };
}

/** A donor of a video: how similar it was, and its entry, where that is still there. */
export interface UsedDonor {
  similarity: number;
  entry: Entry | null;
}

/**
 * What a new entry has of its request, before anything of its video is known.
 *
 * @param compatibilityKey of the package
 */
export function askedOf(
  compatibilityKey: string,
  request: GenerationRequest,
  embedding: PromptEmbedding,
  donors: readonly UsedDonor[],
) {
  const { videoId, prompt, seed, steps, remixOf } = request;
  const partition = partitionOf(compatibilityKey, request);
  const links = donors.map(({ similarity, entry }) => ({
    similarity,
    lineage: entry && lineageOf(entry),
  }));
  return {
    entryId: videoId,
    state: 'READY',
    ...partition,
    exactKey: exactKey({ prompt, seed, steps, remixOf, ...partition }),
    promptKey: promptKey({ prompt, ...partition }),
    prompt,
    ...readingOf(embedding),
    seed,
    ...lineageAfter(steps, links),
    hits: 0,
  } satisfies Partial<Entry>;
}

/** What later prompts are compared with. */
export function readingOf({
  objectPhrase,
  backgroundPhrase,
  reading,
  vectors: { object, background },
}: PromptEmbedding): Pick<
  Entry,
  'objectPhrase' | 'backgroundPhrase' | 'promptVectors' | 'unheardWords'
> {
  const unheardWords = unheardWordsOf(reading);
  return {
    objectPhrase,
    backgroundPhrase,
    promptVectors: { object, background },
    ...(unheardWords.length > 0 && { unheardWords }),
  };
}

async function store({ table, vectors }: StoringServices, made: Entry): Promise<void> {
  // An earlier run may have left an entry with another latent: its vectors belong in the index.
  const entry = (await table.putEntry(made)) ? made : await table.getEntry(made.entryId);
  if (entry?.state === 'READY') await vectors.put(vectorRecordsOf(entry));
}

/** Of one prompt: far more than the passes over the cache leave. */
const REPLACED_AT_ONCE = 64;

/**
 * Takes out what a refreshed video replaces: entries that answer the same prompt and seed with as many
 * steps or fewer. One that is leased leaves with its last holder, and until then nothing finds it. Its
 * pin passes to the new one.
 */
async function supersede(
  { table, vectors, compatibilityKey }: StoringServices,
  request: GenerationRequest,
): Promise<void> {
  const { videoId, prompt, seed, steps, remixOf } = request;
  const partition = partitionOf(compatibilityKey, request);
  const replaced = new Set(
    Array.from({ length: steps }, (_, index) =>
      exactKey({ prompt, seed, steps: index + 1, remixOf, ...partition }),
    ),
  );
  const samePrompt = await table.findSamePrompt(
    promptKey({ prompt, ...partition }),
    REPLACED_AT_ONCE,
  );
  for (const entry of samePrompt) {
    if (entry.entryId === videoId || !replaced.has(entry.exactKey)) continue;
    if (entry.pinnedAt !== undefined) await table.pinEntry(videoId, true);
    await table.supersedeEntry(entry.entryId, videoId);
    const isGone = await table.moveEntry(entry.entryId, 'READY', 'EVICTING', Date.now(), {
      reason: 'superseded',
    });
    if (isGone) await vectors.delete([entry.entryId]);
  }
}

/** Our own earlier run may have stored the very entry that answers now. */
function exactAdmission({ entryId }: Entry, { videoId }: GenerationRequest): Admission {
  return entryId === videoId ? { stored: true } : { stored: false, reason: 'exact_hit' };
}

function exactOutcome(entry: Entry): Omit<JobResult, 'seconds' | 'fullSteps'> {
  const { entryId, latentKey } = entry;
  return {
    hit: 'exact',
    donors: [{ entryId, part: 'whole', similarity: 1, latentKey }],
    startTime: 0,
    anchor: 'none',
    stepsRun: 0,
    ...mediaFilesOf(entry),
    ...(entry.facts !== undefined && { facts: entry.facts }),
    latentBytes: entry.latentBytes,
    replaced: {
      gpuSeconds: entry.gpuSeconds,
      ...(entry.denoiseSeconds !== undefined && { denoiseSeconds: entry.denoiseSeconds }),
      networkEvaluations: entry.stepsRun,
    },
  };
}

function generatedOutcome(made: GenerationResult): Omit<JobResult, 'seconds' | 'fullSteps'> {
  const { hit, donors, startTime, anchor, stepsRun } = made;
  const equivalents = equivalentsRun(made);
  const { facts, latentBytes } = made;
  return {
    hit,
    donors,
    startTime,
    anchor,
    stepsRun,
    ...(equivalents !== stepsRun && { equivalentsRun: equivalents }),
    ...mediaFilesOf(made),
    facts,
    latentBytes,
  };
}
