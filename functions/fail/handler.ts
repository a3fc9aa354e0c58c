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
 * Fails or cancels a job with a user-readable reason, then releases, settles and announces it. A job that has
 * ended keeps its status.
 *
 * The state machine calls it, and an event rule calls it again for every execution that did not succeed,
 * because some end without reaching the Fail state. Such an event does not affect a later attempt.
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
  // Without a Lookup result there are no known leases.
  const lookedUp = isFromOutside ? undefined : input.lookup;
  const leases = lookedUp && leasesOf(videoId, lookedUp);
  if (lookedUp !== undefined && (lookedUp.attempt ?? 1) < job.attempt) {
    // An earlier run of this state ended the job, and the job was resubmitted.
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
  // A call by the event rule enters no state.
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
    // Completed in the meantime: a completed video stays completed.
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
