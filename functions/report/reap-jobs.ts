import { addDays, dayAt } from '#core/day.ts';
import type { Job } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { executionName } from '#core/requests/identity.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import type { WorkflowLooker } from '#ports/workflow.ts';
import type { EndedExecution } from '../shared/states.ts';

export interface ReapServices {
  /** Jobs by the day of their creation. */
  jobsOf: (day: string) => AsyncIterable<Job>;
  workflow: WorkflowLooker;
  /** Ends the job of an execution; what it says of an earlier attempt changes nothing. */
  fail: (ended: EndedExecution) => Promise<void>;
}

/** No execution lasts longer than these days; one more for those that began before midnight. */
const DAYS_LOOKED_AT = Math.ceil(TASK_TIMEOUTS.backfill.totalSeconds / 86_400) + 1;

/** Much longer than an execution takes to begin after its job was written, or the end of one to be told. */
const SETTLED_MILLISECONDS = 3_600_000;

/**
 * Ends jobs whose execution is over, or never began, and that were not told so: the event was lost, or
 * the API ended between the two. Such a job would be in progress for ever and hold its tenant's place.
 *
 * @param now epoch milliseconds
 * @returns how many there were
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
      // A later attempt may be just about to begin, whenever the job was created.
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
