import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type { JobStatus } from '#core/generation.ts';
import { deployedTable, lazily, type Services } from '../services.ts';
import type { FailInput } from '../states.ts';
import { StepMeter } from '../step-meter.ts';
import { namingErrors } from '../task-error.ts';
import { explainFailure } from './explain-failure.ts';

export interface FailOutput {
  videoId: string;
  status: JobStatus;
}

const ENDED: ReadonlySet<JobStatus> = new Set(['completed', 'failed', 'cancelled']);

/** Ends the job with a reason that its user understands. A job that has ended keeps its end. */
export function createFailHandler({
  table,
}: Pick<Services, 'table'>): (input: FailInput) => Promise<FailOutput> {
  return namingErrors(async ({ request: { videoId }, error, embed, lookup, generation }) => {
    const meter = new StepMeter('fail');
    const job = await table.getJob(videoId);
    if (job === null) {
      throw new FlexCacheError('not_found', `there is no job ${videoId}`, { field: 'videoId' });
    }
    if (ENDED.has(job.status)) return { videoId, status: job.status };

    const usage = meter.usage({ tableReadUnits: 1, tableWriteUnits: 2 });
    for (const record of [embed?.usage, lookup?.usage, generation?.usage, usage]) {
      if (record !== undefined) await table.recordUsage(videoId, record);
    }
    const reason = explainFailure(error);
    const isCancelled = reason.code === 'cancelled';
    try {
      await table.failJob(videoId, reason, isCancelled);
    } catch (conflict) {
      // Completed since we looked: a finished video is never taken back.
      if (!(conflict instanceof ConditionFailedError)) throw conflict;
      return { videoId, status: 'completed' };
    }
    return { videoId, status: isCancelled ? 'cancelled' : 'failed' };
  });
}

export const handler = lazily(async () => createFailHandler({ table: deployedTable() }));
