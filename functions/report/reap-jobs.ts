import { addDays, dayAt } from '#core/day.ts';
import type { Job } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { executionName } from '#core/requests/identity.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import type { WorkflowLooker } from '#ports/workflow.ts';
import type { EndedExecution } from '../shared/states.ts';

export interface ReapServices {
  /** Lists the jobs created on a day. */
  jobsOf: (day: string) => AsyncIterable<Job>;
  workflow: WorkflowLooker;
  /** Fails the job of an execution; no effect for an earlier attempt. */
  fail: (ended: EndedExecution) => Promise<void>;
}

/** Maximum duration of an execution in days, plus one for those that started before midnight. */
const DAYS_LOOKED_AT = Math.ceil(TASK_TIMEOUTS.backfill.totalSeconds / 86_400) + 1;

/** Well above the delay between creating a job and its execution, or between an end and its event. */
const SETTLED_MILLISECONDS = 3_600_000;

/**
 * Fails jobs whose execution has ended or never started without the job being updated: the event was lost, or the
 * API crashed between the two writes. Such a job would stay running and count against its tenant's concurrency.
 *
 * @param now epoch milliseconds
 * @returns number of failed jobs
 */
export async function reapJobs(
  { jobsOf, workflow, fail }: ReapServices,
  now: number,
): Promise<number> {
  let reaped = 0;
  for (let age = 0; age <= DAYS_LOOKED_AT; age++) {
    for await (const job of jobsOf(addDays(dayAt(now), -age))) {
      if (hasEnded(job) || now - Date.parse(job.createdAt) < SETTLED_MILLISECONDS) continue;
      const { videoId, attempt } = job;
      const state = await workflow.stateOf(videoId, attempt);
      // A later attempt may be about to start, regardless of the age of the job.
      if (state === 'running' || (state === 'absent' && attempt > 1)) continue;
      await fail({
        execution: executionName(videoId, attempt),
        error: { Error: 'Execution.FAILED', Cause: '' },
      });
      reaped++;
    }
  }
  return reaped;
}
