import type { BackfillLine } from '#core/backfill.ts';
import type { BackfillReference, Job } from '#core/generation.ts';

/** The end of a line from the end of its job; the cost is whoever's business who knows the prices. */
export function lineOfJob(
  job: Job,
  { backfillId, line }: BackfillReference,
  alreadyThere: boolean,
): BackfillLine {
  const { videoId, status, result, error, usage } = job;
  const isEnded = status === 'completed' || status === 'failed' || status === 'cancelled';
  const gpuSeconds = usage.reduce((sum, record) => sum + (record.gpuSeconds ?? 0), 0);
  return {
    backfillId,
    line,
    status: isEnded ? status : 'failed',
    videoId,
    alreadyThere,
    ...(result && { hit: result.hit, stepsRun: result.stepsRun, fullSteps: result.fullSteps }),
    ...(!alreadyThere && { gpuSeconds }),
    ...(error && { error }),
    endedAt: job.completedAt ?? job.updatedAt,
  };
}
