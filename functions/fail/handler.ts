import { ConditionFailedError } from '#core/errors.ts';
import type { Job, JobStatus } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { attemptOfExecution, videoIdOfExecution } from '#core/requests/identity.ts';
import { deployedEnding } from '../shared/deployed-ending.ts';
import { endJob, leasesOf, releaseDonors, type EndingServices } from '../shared/end-job.ts';
import { requireJob } from '../shared/require-job.ts';
import { lazily } from '../shared/services.ts';
import type { EndedExecution, FailInput } from '../shared/states.ts';
import { ofAttempt, StepMeter } from '../shared/step-meter.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { observed } from '../shared/telemetry.ts';
import { explainFailure } from '../shared/explain-failure.ts';

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
  services: EndingServices,
): (input: FailInput | EndedExecution) => Promise<FailOutput> {
  return withTaskErrors((input) => {
    const videoId =
      'execution' in input ? videoIdOfExecution(input.execution) : input.request.videoId;
    return StepMeter.run('fail', services, videoId, (meter) => fail(services, input, meter));
  });
}

async function fail(
  services: EndingServices,
  input: FailInput | EndedExecution,
  meter: StepMeter,
): Promise<FailOutput> {
  const { table } = services;
  const isFromOutside = 'execution' in input;
  const videoId = isFromOutside ? videoIdOfExecution(input.execution) : input.request.videoId;
  const job = await requireJob(services, videoId);
  if (isFromOutside && attemptOfExecution(input.execution) !== job.attempt) {
    return { videoId, status: job.status };
  }
  // Nothing is known to be leased where Lookup was not reached.
  const lookedUp = isFromOutside ? undefined : input.lookup;
  const leases = lookedUp && leasesOf(videoId, lookedUp);
  if (lookedUp !== undefined && (lookedUp.attempt ?? 1) < job.attempt) {
    // An earlier run of this state ended the job, which was submitted again since.
    await releaseDonors(services, leases!);
    return { videoId, status: job.status };
  }
  if (hasEnded(job)) {
    await endJob(services, job, { leases, isAnnounced: !isFromOutside });
    return { videoId, status: job.status };
  }

  meter.attempt = job.attempt;
  const leased = leases && (await releaseDonors(services, leases));
  const { embed, lookup, generation }: Partial<FailInput> = isFromOutside ? {} : input;
  // No state is entered for what is told from outside.
  const usage = meter.usage(isFromOutside ? { stateTransitions: 0 } : {});
  const records = [embed?.usage, lookup?.usage, generation?.usage, usage].flatMap((record) =>
    record === undefined ? [] : [ofAttempt(record, job.attempt)],
  );
  const reason = explainFailure(input.error);
  const isCancelled = job.cancelRequested || reason.code === 'cancelled';
  let ended: Job;
  try {
    ended = await table.failJob(videoId, reason, isCancelled, records);
    services.reportEnd?.(ended);
  } catch (conflict) {
    // Completed since we looked: a finished video is never taken back.
    if (!(conflict instanceof ConditionFailedError)) throw conflict;
    ended = await requireJob(services, videoId);
  }
  meter.close();
  await endJob(services, ended, { leases: leased });
  return { videoId, status: ended.status };
}

export const handler = lazily(async () => {
  const services = deployedEnding(null);
  return observed('fail', services.telemetry, createFailHandler(services));
});
