import { amountsOf, type Amounts } from '../costs/amounts.ts';
import { costOfJob } from '../costs/cost.ts';
import { dayOf } from '../day.ts';
import type { HitKind, Job, JobStatus } from '../generation.ts';
import { quantityOf } from '../pricing/money.ts';
import type { PriceBook, PriceId } from '../pricing/prices.ts';

/** A video in a report: its tenant, outcome and cost. */
export interface VideoLine extends Amounts {
  videoId: string;
  /** Day of creation, UTC. */
  day: string;
  createdAt: string;
  tenant: string;
  modelRevision: string;
  backfillId: string | null;
  prompt: string;
  status: JobStatus;
  /** Null unless completed. */
  hit: HitKind | null;
  gpuMilliseconds: number;
  stepsRun: number;
  stepsFull: number;
  unmeasuredRequests: number;
  /** `total` by service. */
  services: ReadonlyMap<string, bigint>;
  /** Prices in its cost. */
  priceIds: readonly PriceId[];
}

/** Maximum plausible machine time of a video. */
const MAX_GPU_SECONDS = 100 * 24 * 3600;

/**
 * Converts a job to a line of a report.
 *
 * @param book prices of the day of its creation
 * @throws InvalidInputError if a usage record has an impossible value; @throws UnknownPriceError
 */
export function videoLine(job: Job, book: PriceBook): VideoLine {
  const { videoId, createdAt, tenant, modelRevision, backfill, prompt, status, result } = job;
  const cost = costOfJob(job, book);
  const gpuSeconds = job.usage.reduce((sum, record) => sum + (record.gpuSeconds ?? 0), 0);
  quantityOf(gpuSeconds, 'gpuSeconds', MAX_GPU_SECONDS);
  return {
    videoId,
    day: dayOf(createdAt),
    createdAt,
    tenant,
    modelRevision,
    backfillId: backfill?.backfillId ?? null,
    prompt,
    status,
    hit: status === 'completed' ? (result?.hit ?? null) : null,
    ...amountsOf(cost),
    gpuMilliseconds: Math.round(gpuSeconds * 1000),
    stepsRun: result?.stepsRun ?? 0,
    stepsFull: result?.fullSteps ?? 0,
    unmeasuredRequests: job.usage.reduce(
      (sum, record) => sum + (record.unmeasuredRequests ?? 0),
      0,
    ),
    services: new Map(cost.services.map(({ service, amount }) => [service, amount])),
    priceIds: cost.items.map(({ priceId }) => priceId),
  };
}
