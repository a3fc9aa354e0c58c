import type { Pool } from '#core/generation.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import { TaskGoneError } from '#ports/errors.ts';
import type { WorkQueue } from '#ports/queue.ts';
import type { TaskCallbacks } from '#ports/workflow.ts';

export interface GiveUpServices {
  queues: Readonly<Record<Pool, Pick<WorkQueue, 'receive' | 'delete'>>>;
  callbacks: Pick<TaskCallbacks, 'sendTaskFailure'>;
}

const CODE = 'gpu_missing';

/** Time limit, within the one-minute timeout of the function; the next run continues. */
const MAX_MILLISECONDS = 30_000;

/** Long polling; short polling queries only some of the servers of a queue. */
const WAIT_SECONDS = 1;

/** Visibility timeout until the message is deleted. */
const HIDDEN_SECONDS = 60;

/** Fails every request in the queue of a pool without workers; returns how many. */
export async function giveUp({ queues, callbacks }: GiveUpServices, pool: Pool): Promise<number> {
  const queue = queues[pool];
  const minutes = TASK_TIMEOUTS[pool].withoutWorkerSeconds / 60;
  const cause = `no GPU worker has received a request for ${minutes} minutes: no machine was available or became ready; submit the request again later`;
  const until = performance.now() + MAX_MILLISECONDS;
  let givenUp = 0;
  while (performance.now() < until) {
    const received = await queue.receive(WAIT_SECONDS, HIDDEN_SECONDS);
    if (received === null) break;
    try {
      await callbacks.sendTaskFailure(received.message.taskToken, CODE, cause);
      givenUp += 1;
    } catch (error) {
      if (!(error instanceof TaskGoneError)) throw error;
    }
    await queue.delete(received.receipt);
  }
  return givenUp;
}
