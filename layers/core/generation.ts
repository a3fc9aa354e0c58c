/**
 * The words of the domain as types. Everything that crosses a module boundary or is stored in the
 * table is declared here and nowhere else.
 */

import type { PromptWarning } from './requests/prompt-warnings.ts';
import type { LeavingReason } from './retention/retention-run.ts';
import type { ShownAttributes } from './planning/shown-attributes.ts';
import type { StorageClass } from './costs/storage-class.ts';
import type { WebhookDelivery } from './requests/webhook-delivery.ts';

/**
 * `exact`: the same request was answered before. The others name which donors serve the request; `near` is a
 * whole video that shows something else than was asked, begun late enough that the prompt decides.
 */
export const HIT_KINDS = [
  'exact',
  'whole',
  'near',
  'object+background',
  'object',
  'background',
  'miss',
] as const;

export type HitKind = (typeof HIT_KINDS)[number];

export type Part = 'object' | 'background';

export const PARTS: readonly Part[] = ['object', 'background'];

/** What is looked up: the whole prompt or one part of it. */
export type LookupPart = 'whole' | Part;

export const LOOKUP_PARTS: readonly LookupPart[] = ['whole', 'object', 'background'];

/** `auto` reads and writes the cache; `readonly` writes no entry; `refresh` ignores hits but writes; `off` neither. */
export type CacheMode = 'auto' | 'off' | 'readonly' | 'refresh';

export const CACHE_MODES: readonly CacheMode[] = ['auto', 'off', 'readonly', 'refresh'];

/**
 * Whose entries a request may start from, and who may start from what it leaves behind: its tenant
 * alone, or everybody who chose `shared` too. The two never mix.
 */
export type Scope = 'tenant' | 'shared';

export const SCOPES: readonly Scope[] = ['tenant', 'shared'];

/** Which part of the GPU fleet makes a video: one that somebody waits for, or one of a backfill. */
export type Pool = 'interactive' | 'backfill';

export const POOLS: readonly Pool[] = ['interactive', 'backfill'];

/** One request for one video, validated. */
export interface GenerationRequest {
  /** `vid_` + 26 characters; also the name of the workflow execution. */
  videoId: string;
  prompt: string;
  seed: number;
  cache: CacheMode;
  /** Step budget of a full generation, network evaluations. The package's tuned N unless asked otherwise. */
  steps: number;
  /** Scale of classifier-free guidance; absent where it is the package's own. */
  guidanceScale?: number;
  /** What guidance leads away from; absent where it is the package's own. Empty is the empty prompt. */
  negativePrompt?: string;
  /** sha256 of the file of its first image, hexadecimal; absent where the video begins with none. */
  image?: string;
  tenant: string;
  scope: Scope;
  /** Least similarity of a donor, 0..1; the package's own thresholds hold beside it. 0 adds nothing. */
  minSimilarity: number;
  /** Largest share of the denoising that reuse may skip, 0..1. Below 1 there is no exact hit. */
  maxReuse: number;
  /** The video that is the only donor, when one was named; its owner is this tenant. */
  remixOf: string | null;
  pool: Pool;
}

/** What of a prompt its model could not take in. */
export interface PromptReading {
  /** Words that are not in the model's vocabulary, as written, each once. */
  unknownWords: string[];
  /** How many tokens were beyond the model's limit, and the words that they were of. */
  cutTokens: number;
  cutWords: string[];
}

/** Unit vectors of the prompt and of its parts; a part the prompt does not name is absent. */
export interface PromptEmbedding {
  objectPhrase: string | null;
  backgroundPhrase: string | null;
  /** Absent where nobody told. */
  reading?: PromptReading;
  /** Each has `embedding.dimensions` of the model package. */
  vectors: { whole: number[]; object: number[] | null; background: number[] | null };
}

/** Unit vectors of what a prompt says of each part; null where it says nothing. */
export type PromptPartVectors = Record<Part, number[] | null>;

/** A donor that was confirmed in the table and leased for this request. */
export interface Donor {
  entryId: string;
  /** The part of the donor that is used. */
  part: LookupPart;
  /** Cosine similarity of the request's vector and the donor's, -1..1; 1 for the very same prompt. */
  similarity: number;
  /** Object key of the donor's latent container. */
  latentKey: string;
}

/** Solvers of the rectified flow's ODE; each takes one network evaluation a step. */
export const SOLVERS = ['euler', 'ab2', 'dpmpp-2m'] as const;

export type SolverName = (typeof SOLVERS)[number];

/**
 * What of the donors is held while the rest is denoised. `none`: everything is denoised from the start
 * time on. `background`: what lies outside the predicted object is set to the re-noised donor after
 * each step, from the second to the last but one. `region`: only the tokens of the object's region are
 * denoised; the background is the donor's as it is. `place`: the same from the start, in the place of the
 * donor's own object, where the one that is asked for is to be.
 */
export const ANCHORS = ['none', 'background', 'region', 'place'] as const;

export type Anchor = (typeof ANCHORS)[number];

/** Whether only some tokens of a latent are denoised: an evaluation then takes a share of a full one. */
export function isRegional(anchor: Anchor): boolean {
  return anchor === 'region' || anchor === 'place';
}

/** The decision for one request. */
export interface Plan {
  hit: HitKind;
  donors: Donor[];
  /** Start time: 1 is a full generation, 0 is no denoising at all. */
  startTime: number;
  /** Network evaluations that this plan will run. */
  steps: number;
  solver: SolverName;
  anchor: Anchor;
  /** Expected compute, in evaluations of all tokens; fewer than `steps` where only a region is denoised. */
  equivalents: number;
  /** Network evaluations of a full generation of the same request. */
  fullSteps: number;
  seed: number;
  /** For an exact hit: the video that is returned as it is. */
  exactVideoId: string | null;
}

/** Who uses something for a video, in the order of the workflow. */
export const USAGE_STEPS = [
  'submit',
  'embed',
  'lookup',
  'dispatch',
  'generate',
  'commit',
  'fail',
] as const;

export type UsageStep = (typeof USAGE_STEPS)[number];

/** Usage of one run of a step; with a price book it yields dollars. Units are in the names. */
export interface UsageRecord {
  /** `generate` is the GPU worker's, `dispatch` the function's that queues its work. */
  step: UsageStep;
  /** The attempt that the step belongs to; the first one unless said. */
  attempt?: number;
  /**
   * Which run of the step this was: a retried step has one record for each run. Makes the record
   * idempotent, together with step and attempt. Absent in what was recorded once a step.
   */
  run?: string;
  /** Epoch milliseconds when the run began; the last run of a step is the one that counted. */
  startedAt?: number;
  /** Earlier runs whose work this one went on with, from a checkpoint or as its input: they were not in vain. */
  continues?: string[];
  lambdaMilliseconds?: number;
  lambdaMegabytes?: number;
  /** `x86_64` unless said. */
  lambdaArchitecture?: 'x86_64' | 'arm64';
  tableReadUnits?: number;
  tableWriteUnits?: number;
  /** Requests that S3 charges as PUT: listings too. */
  objectPuts?: number;
  /** Requests that S3 charges as GET: HEAD too. */
  objectGets?: number;
  objectBytesWritten?: number;
  objectBytesRead?: number;
  /** Of the GETs and of what they read, those from Standard-IA and from Glacier Instant Retrieval. */
  infrequentAccessGets?: number;
  infrequentAccessBytes?: number;
  instantRetrievalGets?: number;
  instantRetrievalBytes?: number;
  vectorQueries?: number;
  /** Vector data that the queries read: average bytes of a vector x vectors in the index. */
  vectorBytesScanned?: number;
  /** How many vectors that were, over all queries: the price of their bytes depends on it. */
  vectorsScanned?: number;
  vectorPuts?: number;
  /** Of the puts, as they are charged: each request at least 128 KB. Absent in older records. */
  vectorBytesPut?: number;
  queueRequests?: number;
  /** Requests whose service did not say, or does not, what it charges for them: the amounts are short of them. */
  unmeasuredRequests?: number;
  gpuSeconds?: number;
  /** Seconds the machine waited for this video without work, and those it took to start for it. */
  idleSeconds?: number;
  coldStartSeconds?: number;
  /** Of the GPU seconds, those in the denoiser network: what more or fewer evaluations change. */
  denoiseSeconds?: number;
  instanceType?: string;
  purchaseOption?: 'on-demand' | 'spot' | 'embedded';
  networkEvaluations?: number;
  /** Their compute, in evaluations of all tokens; absent where each was one. */
  evaluationEquivalents?: number;
  stateTransitions?: number;
}

/** What a video file is; stored with whatever has the file, because models change. */
export interface VideoFacts {
  /** Name of the model package. */
  model: string;
  seconds: number;
  /** Of the file, pixels. */
  width: number;
  height: number;
  /** When the file was written, ISO 8601, UTC; absent before, and in older records. */
  madeAt?: string;
}

/** Object keys of a finished video's files. */
export interface MediaKeys {
  videoKey: string;
  posterKey: string;
  animationKey: string;
  spritesheetKey: string;
}

/** A finished video's files. */
export interface MediaFiles extends MediaKeys {
  /** Of the MP4. */
  videoBytes: number;
}

/** The files alone, of something that has more to it. */
export function mediaFilesOf(source: MediaFiles): MediaFiles {
  const { videoKey, posterKey, animationKey, spritesheetKey, videoBytes } = source;
  return { videoKey, posterKey, animationKey, spritesheetKey, videoBytes };
}

/** Keys of all files. */
export function mediaKeysOf(source: MediaKeys): string[] {
  return [source.videoKey, source.posterKey, source.animationKey, source.spritesheetKey];
}

/** What the GPU worker hands back for one video. Keys only, never tensors. */
export interface GenerationResult extends MediaFiles {
  facts: VideoFacts;
  /** Null when the cache mode forbids storing. */
  latentKey: string | null;
  latentBytes: number;
  latentSha256: string | null;
  /** Unit vectors of the *video* (whole, object, background) in the space of the prompt vectors; null where a part is absent, nothing is stored or no network describes videos. */
  vectors: {
    whole: number[] | null;
    object: number[] | null;
    background: number[] | null;
  };
  /** Parts that the stored latent has, where no network describes videos: their vectors are those of the prompt. */
  describedByPrompt?: LookupPart[];
  /** What the package's judge saw in the latent that is stored. */
  shown?: ShownAttributes;
  /** What was really used: a donor whose latent was missing or corrupt degrades the hit. */
  hit: HitKind;
  donors: Donor[];
  startTime: number;
  /** Of the plan that was run. */
  anchor: Anchor;
  /** Network evaluations of all that worked on it. */
  stepsRun: number;
  /** Their compute, in evaluations of all tokens. */
  equivalentsRun: number;
  seconds: { queue: number; generate: number };
  usage: UsageRecord;
}

export type JobStatus = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';

/** The line of a backfill that a job was made for. */
export interface BackfillReference {
  backfillId: string;
  /** From 1. */
  line: number;
  /** Of a line that asks for several videos, from 2; absent for the first. */
  video?: number;
}

/** One requested video, as stored under the job key. */
export interface Job extends GenerationRequest {
  /** From 1; names the execution together with the video id, because a name can be used once. */
  attempt: number;
  /** Where the end of the job is announced; null when nobody asked. */
  webhook: string | null;
  /** The caller's own labels. */
  metadata: Record<string, string>;
  backfill: BackfillReference | null;
  /** Videos of the request that this is one of; absent where it was the only one. */
  videosOfRequest?: number;
  modelRevision: string;
  compatibilityKey: string;
  /** What its video will be; absent in jobs from before this was recorded. */
  facts?: VideoFacts;
  status: JobStatus;
  /** ISO 8601, UTC. */
  createdAt: string;
  updatedAt: string;
  completedAt?: string;
  /** ISO 8601, UTC: when a worker first took the running attempt; absent while it waits for one. */
  takenAt?: string;
  /** 0..100 */
  progress: number;
  cancelRequested: boolean;
  /** What became of telling `webhook`. */
  webhookDelivery?: WebhookDelivery;
  /** When its owner deleted it. The record stays for the books, nobody else is shown it. */
  deletedAt?: string;
  error?: { code: string; message: string; field?: string };
  /** What of the prompt its model could not take in; absent where it took in all. */
  warnings?: PromptWarning[];
  result?: JobResult;
  usage: UsageRecord[];
}

/** What a completed job says of its video; the `--json` object is made from it. */
export interface JobResult extends MediaFiles {
  hit: HitKind;
  donors: Donor[];
  startTime: number;
  /** Of the plan that was run; absent in what was completed before this was recorded. */
  anchor?: Anchor;
  stepsRun: number;
  /** Their compute, in evaluations of all tokens; absent where each was one. */
  equivalentsRun?: number;
  fullSteps: number;
  /** Of the file; absent in what was completed before this was recorded. */
  facts?: VideoFacts;
  latentBytes: number;
  seconds: {
    embed: number;
    lookup: number;
    queue: number;
    generate: number;
    commit: number;
    total: number;
  };
  /** Of an exact hit: what making the video took that is returned again. */
  replaced?: ReplacedWork;
  /** Whether others may start from it; absent in what was completed before this was recorded. */
  admission?: Admission;
}

/** Whether a finished video became an entry of the cache, and why not. */
export type Admission = { stored: true } | { stored: false; reason: NotStoredReason };

export const NOT_STORED_REASONS = ['cache_mode', 'exact_hit', 'adds_little'] as const;

/**
 * `cache_mode`: the request forbade it. `exact_hit`: it is the video of an entry. `adds_little`: the
 * entries it was made from serve the same requests nearly as well.
 */
export type NotStoredReason = (typeof NOT_STORED_REASONS)[number];

export interface ReplacedWork {
  gpuSeconds: number;
  denoiseSeconds?: number;
  /** In evaluations of all tokens. */
  networkEvaluations: number;
}

export type EntryStatus = 'READY' | 'EVICTING' | 'TOMBSTONE';

/** A cached video: what makes it a donor. */
export interface Entry extends MediaFiles {
  /** Equals the id of the video it was made for. */
  entryId: string;
  state: EntryStatus;
  tenant: string;
  scope: Scope;
  compatibilityKey: string;
  /** Hash of (normalised prompt, seed, parameters, partition): the exact key. */
  exactKey: string;
  /** Hash of (normalised prompt, partition): the same prompt with any seed. */
  promptKey: string;
  prompt: string;
  objectPhrase: string | null;
  backgroundPhrase: string | null;
  /**
   * Vectors of the two phrases, and the words of the prompt that its model did not take in: what other
   * words for the same are told by. Without them only the same prompt has the whole of the entry.
   */
  promptVectors?: PromptPartVectors;
  unheardWords?: string[];
  seed: number;
  latentKey: string;
  latentBytes: number;
  latentSha256: string;
  /** Absent in entries from before this was recorded. */
  facts?: VideoFacts;
  vectors: {
    whole: number[];
    object: number[] | null;
    background: number[] | null;
  };
  /** What the package's judge is sure that it shows; absent without a judge, and in older entries. */
  shown?: ShownAttributes;
  /** 0 for a full generation, else 1 + the largest of its donors. */
  reuseDepth: number;
  /** Fewest evaluations of the full generations that it goes back to; absent in older entries. */
  steps?: number;
  /** Smallest similarity on the way from those, 0..1; absent in older entries. `lineageOf` reads both. */
  leastSimilarity?: number;
  /** Entry of the refreshed video that took its place: this one is no donor and no answer any more. */
  supersededBy?: string;
  hits: number;
  createdAt: string;
  lastHitAt?: string;
  /** The hit before the last one. */
  previousHitAt?: string;
  /** Exponentially decayed sums over the hits, as `layers/core/retention/decay.ts` keeps them. */
  decayedHits?: number;
  /** Of network evaluations that each hit saved over the next best donor. */
  decayedCredit?: number;
  /** Entries near enough to be donors when this one was made: how busy its neighbourhood is. */
  neighbours?: number;
  /** ISO 8601; a pinned entry is never evicted. */
  pinnedAt?: string;
  /** Where the latent lies now; the deployment's class unless it was moved. */
  storageClass?: StorageClass;
  /** Why it left, once it is leaving. */
  evictionReason?: LeavingReason;
  /** Epoch milliseconds until which the entry must not be evicted. */
  leaseUntil?: number;
  /** Epoch milliseconds when it came into its state; absent while READY. */
  leavingAt?: number;
  /** GPU seconds that making it took. */
  gpuSeconds: number;
  /** Of the GPU seconds, those in the denoiser network. */
  denoiseSeconds?: number;
  /** Network evaluations that making it took, in evaluations of all tokens. */
  stepsRun: number;
}
