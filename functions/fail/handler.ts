import { ConditionFailedError } from '#core/errors.ts';
import type { JobStatus } from '#core/generation.ts';
import { hasEnded } from '#core/has-ended.ts';
import { attemptOfExecution, videoIdOfExecution } from '#core/identity.ts';
import { deployedEnding } from '../deployed-ending.ts';
import { endJob, leasedFor, type EndJobServices } from '../end-job.ts';
import { requireJob } from '../require-job.ts';
import { deployedJobEnd, deployedTable, lazily } from '../services.ts';
import type { EndedExecution, FailInput } from '../states.ts';
import { ofAttempt, StepMeter } from '../step-meter.ts';
import { namingErrors } from '../task-error.ts';
import { explainFailure } from './explain-failure.ts';

export interface FailOutput {
  videoId: string;
  status: JobStatus;
}

/**
 * Ends the job with a reason that its user understands, and does what follows the end of a job. A
 * job that has ended keeps its end.
 *
 * Called by the state machine, and once more for every execution that did not succeed: some end
 * without having called it. What is told of such an execution says nothing of a later attempt.
 */
export function createFailHandler(
  services: EndJobServices,
): (input: FailInput | EndedExecution) => Promise<FailOutput> {
  return namingErrors(async (input) => {
    const meter = new StepMeter('fail');
    const { table } = services;
    const isFromOutside = 'execution' in input;
    const videoId = isFromOutside ? videoIdOfExecution(input.execution) : input.request.videoId;
    const job = await requireJob(services, videoId);
    if (isFromOutside && attemptOfExecution(input.execution) !== job.attempt) {
      return { videoId, status: job.status };
    }
    // Nothing is known to be leased where Lookup was not reached.
    const donorIds = !isFromOutside && input.lookup ? leasedFor(input.lookup.plan) : [];
    if (hasEnded(job)) {
      await endJob(services, job, { donorIds, isAnnounced: !isFromOutside });
      return { videoId, status: job.status };
    }

    const usage = meter.usage({ tableReadUnits: 2, tableWriteUnits: 2 });
    const { embed, lookup, generation }: Partial<FailInput> = isFromOutside ? {} : input;
    for (const record of [embed?.usage, lookup?.usage, generation?.usage, usage]) {
      if (record !== undefined) await table.recordUsage(videoId, ofAttempt(record, job.attempt));
    }
    const reason = explainFailure(input.error);
    try {
      await table.failJob(videoId, reason, job.cancelRequested || reason.code === 'cancelled');
    } catch (conflict) {
      // Completed since we looked: a finished video is never taken back.
      if (!(conflict instanceof ConditionFailedError)) throw conflict;
    }
    const ended = await requireJob(services, videoId);
    await endJob(services, ended, { donorIds });
    return { videoId, status: ended.status };
  });
}

export const handler = lazily(async () => {
  const services = { table: deployedTable(), ...deployedJobEnd() };
  return deployedEnding('fail', services, null, createFailHandler(services));
});
