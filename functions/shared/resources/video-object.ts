import { costOfJob } from '#core/costs/cost.ts';
import { costReport, type CostReport } from '#core/costs/cost-report.ts';
import { equivalentsRun } from '#core/planning/equivalents.ts';
import type { Donor, Job, JobStatus, VideoFacts } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import type { PriceBook } from '#core/pricing/prices.ts';
import { varietyOf } from '#core/planning/variety.ts';
import { videoExpiry } from '#core/requests/video-expiry.ts';
import type { Table } from '#ports/table.ts';
import { isWaiting, QueuePlaces } from './queue-places.ts';
import { webhookDelivery } from './webhook-object.ts';
import { epochSeconds } from './epoch-seconds.ts';
import type { WireVideo, WIRE_STATUSES } from './schemas/video.ts';

export interface VideoObjectServices {
  table: Pick<Table, 'getJob' | 'readQueue'>;
  prices: PriceBook;
  /** Null where videos are kept. */
  videosExpireAfterDays: number | null;
}

/**
 * A job as its owner is shown it. Nothing in it says anything of another tenant.
 *
 * @param places of all videos of one answer
 */
export async function videoObject(
  services: VideoObjectServices,
  job: Job,
  places: QueuePlaces = new QueuePlaces(services.table),
): Promise<WireVideo> {
  const { prices } = services;
  // A stored video that is returned as it is may be older than the request.
  const facts = job.result?.facts ?? job.facts;
  return {
    id: job.videoId,
    object: 'video',
    status: isWaiting(job) ? 'queued' : wireStatus(job.status),
    queue_position: await places.placeOf(job),
    progress: job.status === 'completed' ? 100 : job.progress,
    created_at: epochSeconds(job.createdAt),
    completed_at: job.completedAt === undefined ? null : epochSeconds(job.completedAt),
    expires_at: expiryOf(services, job),
    model: facts?.model ?? null,
    prompt: job.prompt,
    seconds: facts === undefined ? null : secondsOf(facts),
    size: facts === undefined ? null : sizeOf(facts),
    remixed_from_video_id: job.remixOf,
    error: workError(job.error),
    warnings: job.warnings ?? [],
    seed: job.seed,
    guidance_scale: job.guidanceScale ?? null,
    negative_prompt: job.negativePrompt ?? null,
    input_reference_sha256: job.image ?? null,
    scope: job.scope,
    min_similarity: job.minSimilarity,
    max_reuse: job.maxReuse,
    cache: await cacheUse(services, job),
    cost: hasEnded(job) ? wireCost(costReport(costOfJob(job, prices))) : null,
    metadata: job.metadata,
    webhook: job.webhook,
    webhook_delivery: webhookDelivery(job),
    backfill: job.backfill && { id: job.backfill.backfillId, line: job.backfill.line },
  };
}

/** Of the file: an exact hit has the one of an earlier video. */
function expiryOf({ videosExpireAfterDays }: VideoObjectServices, { result }: Job): number | null {
  const madeAt = result?.facts?.madeAt;
  return madeAt === undefined ? null : videoExpiry(madeAt, videosExpireAfterDays);
}

/** A job's or a backfill's status in the words of the dialect. */
export function wireStatus(status: JobStatus): (typeof WIRE_STATUSES)[number] {
  return status === 'running' ? 'in_progress' : status;
}

/** Length of a video, as the dialect writes it. */
export function secondsOf({ seconds }: VideoFacts): string {
  return String(seconds);
}

/** Extent of a video file, as the dialect writes it. */
export function sizeOf({ width, height }: Pick<VideoFacts, 'width' | 'height'>): string {
  return `${width}x${height}`;
}

export function workError(
  error: { code: string; message: string; field?: string } | undefined,
): WireVideo['error'] {
  return error === undefined
    ? null
    : { code: error.code, message: error.message, param: error.field ?? null };
}

async function cacheUse({ table }: VideoObjectServices, job: Job): Promise<WireVideo['cache']> {
  const { result } = job;
  if (result === undefined) {
    return {
      mode: job.cache,
      hit: null,
      donors: [],
      similarity: null,
      t0: null,
      anchor: null,
      variety: null,
      steps_run: null,
      equivalents_run: null,
      steps_full: job.steps,
      skipped_share: null,
      stored: null,
      not_stored_reason: null,
    };
  }
  const { hit, donors, startTime, anchor = null, stepsRun, fullSteps, admission } = result;
  return {
    mode: job.cache,
    hit,
    donors: await Promise.all(
      donors.map(async (donor) => ({
        id: (await isOwn(table, job, donor)) ? donor.entryId : null,
        part: donor.part,
        similarity: cosine(donor.similarity),
      })),
    ),
    similarity:
      donors.length === 0 ? null : Math.min(...donors.map((donor) => cosine(donor.similarity))),
    t0: startTime,
    anchor,
    variety: varietyOf(result),
    steps_run: stepsRun,
    equivalents_run: equivalentsRun(result),
    steps_full: fullSteps,
    skipped_share: Math.max(0, 1 - equivalentsRun(result) / fullSteps),
    stored: admission?.stored ?? null,
    not_stored_reason: admission?.stored === false ? admission.reason : null,
  };
}

/** An entry has the id of the video that it was made for, whose record outlives it. */
async function isOwn(
  table: VideoObjectServices['table'],
  job: Job,
  { entryId }: Donor,
): Promise<boolean> {
  if (job.scope === 'tenant') return true;
  return (await table.getJob(entryId))?.tenant === job.tenant;
}

/** Rounding makes the vectors of the same text a little more than alike. */
function cosine(similarity: number): number {
  return Math.min(1, Math.max(-1, similarity));
}

function wireCost({ total, coldStart, pricedAs, prices, ...cost }: CostReport): WireCost {
  return {
    ...cost,
    amount: total,
    cold_start: coldStart,
    priced_as: {
      instance_type: pricedAs.instanceType,
      purchase_option: pricedAs.purchaseOption,
      is_reference: pricedAs.isReference,
    },
    prices: { region: prices.region, as_of: prices.asOf },
  };
}

type WireCost = NonNullable<WireVideo['cost']>;
