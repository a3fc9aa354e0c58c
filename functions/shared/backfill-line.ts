import type { BackfillLine } from '#core/requests/backfill.ts';
import type { BackfillReference, Job } from '#core/generation.ts';
import type { BackfillItem } from './backfill-states.ts';
import type { Services } from './services.ts';

/** What the end of an item is written down under. */
export function referenceOf(backfillId: string, item: BackfillItem): BackfillReference {
  const { line } = item;
  return 'error' in item || item.video === undefined
    ? { backfillId, line }
    : { backfillId, line, video: item.video };
}

/** The records of the attempt that the job is in: each attempt is charged once. */
export function usageOfAttempt({ usage, attempt }: Job): Job['usage'] {
  return usage.filter((record) => (record.attempt ?? 1) === attempt);
}

/**
 * The end of a line from a job that has ended. What was there before the backfill cost it nothing.
 */
export function lineOfJob(
  { costOf }: Pick<Services, 'costOf'>,
  job: Job,
  reference: BackfillReference,
  alreadyThere: boolean,
): BackfillLine {
  const { videoId, status, result, error } = job;
  const usage = usageOfAttempt(job);
  return {
    ...reference,
    status: status === 'completed' || status === 'cancelled' ? status : 'failed',
    videoId,
    alreadyThere,
    ...(result && { hit: result.hit, stepsRun: result.stepsRun, fullSteps: result.fullSteps }),
    ...(!alreadyThere && {
      gpuSeconds: usage.reduce((sum, { gpuSeconds = 0 }) => sum + gpuSeconds, 0),
      cost: costOf({ ...job, usage }).toString(),
    }),
    ...(error && { error }),
    endedAt: job.completedAt ?? job.updatedAt,
  };
}
