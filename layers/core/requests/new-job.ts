import type { GenerationRequest, Job } from '../generation.ts';
import { conditionOf } from './condition.ts';
import { requestCompatibilityKey } from './identity.ts';

/** What of the model stands in a job's record; `compatibilityKey` is the package's. */
export type JobModel = Required<Pick<Job, 'modelRevision' | 'compatibilityKey' | 'facts'>>;

/** What a submitter adds to the request. */
export type JobOrigin = Partial<Pick<Job, 'webhook' | 'metadata' | 'backfill' | 'videosOfRequest'>>;

/**
 * The job of a request that was just submitted: queued, first attempt.
 *
 * @param now epoch milliseconds
 */
export function newJob(
  request: GenerationRequest,
  model: JobModel,
  origin: JobOrigin = {},
  now: number = Date.now(),
): Job {
  const createdAt = new Date(now).toISOString();
  return {
    ...request,
    attempt: 1,
    webhook: origin.webhook ?? null,
    metadata: origin.metadata ?? {},
    backfill: origin.backfill ?? null,
    ...(origin.videosOfRequest !== undefined && { videosOfRequest: origin.videosOfRequest }),
    modelRevision: model.modelRevision,
    compatibilityKey: requestCompatibilityKey(model.compatibilityKey, request),
    facts: model.facts,
    status: 'queued',
    createdAt,
    updatedAt: createdAt,
    progress: 0,
    cancelRequested: false,
    usage: [],
  };
}

/** The request that a job was made for, as the workflow carries it. */
export function requestOf(job: Job): GenerationRequest {
  const { videoId, prompt, seed, cache, steps, tenant } = job;
  const { scope, minSimilarity, maxReuse, remixOf, pool } = job;
  return {
    videoId,
    prompt,
    seed,
    cache,
    steps,
    ...conditionOf(job),
    tenant,
    scope,
    minSimilarity,
    maxReuse,
    remixOf,
    pool,
  };
}
