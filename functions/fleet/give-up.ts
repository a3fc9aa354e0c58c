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

/** The rest is left to the next look: a function has no more than a minute. */
const LONGEST_MILLISECONDS = 30_000;

/** Without any wait a queue looks at some of its servers only. */
const WAIT_SECONDS = 1;

/** Until the message is deleted. */
const HIDDEN_SECONDS = 60;

/** Fails everything that waits in a queue whose messages nobody takes; how many that were. */
export async function giveUp({ queues, callbacks }: GiveUpServices, pool: Pool): Promise<number> {
  const queue = queues[pool];
  const minutes = TASK_TIMEOUTS[pool].withoutWorkerSeconds / 60;
  const cause = `no GPU worker has taken up a request for ${minutes} minutes: there was no machine, or none got ready; submit the request again later`;
  const until = performance.now() + LONGEST_MILLISECONDS;
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
