import type { Capabilities } from '#core/requests/capabilities.ts';
import { startPoint } from '#core/planning/calibration.ts';
import type { Backfill } from '#core/requests/backfill.ts';
import type { Entry, GenerationRequest, Job, JobResult, VideoFacts } from '#core/generation.ts';
import type { GenerateMessage } from '#ports/queue.ts';

let count = 0;

/** A name that no other test uses. */
export function unique(prefix: string): string {
  count += 1;
  return `${prefix}${process.pid}-${Date.now().toString(36)}-${count}`;
}

export function sampleRequest(changes: Partial<GenerationRequest> = {}): GenerationRequest {
  return {
    videoId: unique('vid_'),
    prompt: 'a red ball over the sea',
    seed: 7,
    cache: 'auto',
    steps: 12,
    tenant: 'default',
    scope: 'tenant',
    minSimilarity: 0,
    maxReuse: 1,
    remixOf: null,
    pool: 'interactive',
    ...changes,
  };
}

export const SAMPLE_FACTS: VideoFacts = {
  model: 'sample-world',
  seconds: 2,
  width: 384,
  height: 384,
};

/** Of the package whose videos have `SAMPLE_FACTS`. */
export const SAMPLE_CAPABILITIES: Capabilities = {
  model: 'sample-world',
  width: 384,
  height: 384,
  frames: 16,
  framesPerSecond: 8,
  guidanceScale: 3,
  negativePrompt: '',
  firstImage: false,
};

export function sampleJob(changes: Partial<Job> = {}): Job {
  return {
    ...sampleRequest(),
    attempt: 1,
    webhook: null,
    metadata: {},
    backfill: null,
    modelRevision: 'revision',
    compatibilityKey: 'compatible',
    facts: SAMPLE_FACTS,
    status: 'queued',
    createdAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
    progress: 0,
    cancelRequested: false,
    usage: [],
    ...changes,
  };
}

export function sampleBackfill(changes: Partial<Backfill> = {}): Backfill {
  const backfillId = unique('bkf_');
  return {
    backfillId,
    tenant: 'default',
    status: 'queued',
    inputKey: `backfills/${backfillId}/input.jsonl`,
    format: 'jsonl',
    defaults: { cache: 'auto', scope: 'tenant', steps: null, minSimilarity: 0, maxReuse: 1 },
    concurrency: 10,
    toleratedFailurePercentage: 100,
    webhook: null,
    metadata: {},
    modelRevision: 'revision',
    createdAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
    cancelRequested: false,
    ...changes,
  };
}

export function sampleResult(changes: Partial<JobResult> = {}): JobResult {
  return {
    hit: 'whole',
    donors: [
      { entryId: 'vid_donor', part: 'whole', similarity: 0.91, latentKey: 'latents/d/1.fcl' },
    ],
    startTime: 0.3,
    stepsRun: 4,
    fullSteps: 12,
    videoKey: 'videos/v/1.mp4',
    posterKey: 'videos/v/1.png',
    animationKey: 'videos/v/1.webp',
    spritesheetKey: 'videos/v/1.jpg',
    videoBytes: 1000,
    latentBytes: 2000,
    seconds: { embed: 0.1, lookup: 0.2, queue: 0.3, generate: 0.4, commit: 0.5, total: 1.5 },
    ...changes,
  };
}

/** Its vector elements are exact in float32, as everything that a model computes. */
export function sampleEntry(changes: Partial<Entry> = {}): Entry {
  const entryId = unique('vid_');
  return {
    entryId,
    state: 'READY',
    tenant: 'default',
    scope: 'tenant',
    compatibilityKey: 'compatible',
    exactKey: `exact-${entryId}`,
    promptKey: `prompt-${entryId}`,
    prompt: 'a red ball over the sea',
    objectPhrase: 'a red ball',
    backgroundPhrase: null,
    seed: 7,
    latentKey: `latents/${entryId}/1.fcl`,
    latentBytes: 2000,
    latentSha256: '00ff',
    videoKey: `videos/${entryId}/1.mp4`,
    posterKey: `videos/${entryId}/1.png`,
    animationKey: `videos/${entryId}/1.webp`,
    spritesheetKey: `videos/${entryId}/1.jpg`,
    videoBytes: 1000,
    vectors: { whole: [0.5, -0.5, 0.5, 0.5], object: [1, 0, 0, 0], background: null },
    reuseDepth: 0,
    hits: 0,
    createdAt: '2026-01-01T00:00:00.000Z',
    gpuSeconds: 1.25,
    stepsRun: 12,
    ...changes,
  };
}

export function sampleMessage(changes: Partial<GenerateMessage> = {}): GenerateMessage {
  return {
    taskToken: unique('token-'),
    request: sampleRequest(),
    plan: {
      hit: 'miss',
      donors: [],
      ...startPoint(1, 12),
      fullSteps: 12,
      seed: 7,
      exactVideoId: null,
    },
    embedding: {
      objectPhrase: null,
      backgroundPhrase: null,
      vectors: { whole: [1, 0], object: null, background: null },
    },
    sentAt: 1_767_225_600_000,
    ...changes,
  };
}
