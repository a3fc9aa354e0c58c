import { FlexCacheError, messageWithFix } from '#core/errors.ts';
import { TaskGoneError } from '#ports/errors.ts';
import { fruitlessDeliveries, type ReceivedMessage } from '#ports/queue.ts';
import { deleteCheckpoint } from './checkpoint-store.ts';
import { backoffSeconds, isTransient, messageOf } from './failures.ts';
import type { MessageHold } from './message-hold.ts';
import type { WorkerDependencies, WorkerEvent, WorkerSettings } from './worker.ts';

/** What stays behind when this fails expires in the store. */
export async function forgetCheckpoint(
  { objects }: WorkerDependencies,
  log: (event: WorkerEvent) => void,
  videoId: string,
): Promise<void> {
  try {
    await deleteCheckpoint(objects, videoId);
  } catch (error) {
    log({ level: 'warn', event: 'checkpoint_kept', videoId, message: messageOf(error) });
  }
}

/**
 * Ends the work on a message that came to nothing: enters it into the ledger, and then answers the
 * workflow, gives the message back, or leaves it to whoever has it now.
 *
 * @throws when the answer cannot be given: the message becomes visible again by itself.
 */
export async function answerFailure(
  dependencies: WorkerDependencies,
  settings: WorkerSettings,
  log: (event: WorkerEvent) => void,
  received: ReceivedMessage,
  hold: MessageHold,
  error: unknown,
): Promise<void> {
  const { queue, callbacks } = dependencies;
  const { message, receipt } = received;
  const { videoId } = message.request;
  const reason = error instanceof TaskGoneError ? 'gone' : hold.stopReason;
  // Before the answer: whoever gets it settles what the job has cost.
  await hold.enterWork();
  if (reason === 'taken') {
    log({ level: 'warn', event: 'message_taken', videoId });
    return;
  }
  if (reason === 'gone') {
    log({ level: 'warn', event: 'task_gone', videoId });
    await queue.delete(receipt);
    await forgetCheckpoint(dependencies, log, videoId);
    return;
  }
  if (reason === 'shutdown') {
    log({ level: 'info', event: 'returned', videoId });
    await giveBack(queue, received);
    return;
  }
  const deliveries = fruitlessDeliveries(received) + 1;
  if (isTransient(error) && deliveries < settings.maximumDeliveries) {
    const seconds = backoffSeconds(deliveries);
    log({ level: 'warn', event: 'retried', videoId, seconds, message: messageOf(error) });
    await queue.extend(receipt, seconds);
    return;
  }
  const code = error instanceof FlexCacheError ? error.code : 'internal';
  const level = code === 'cancelled' ? 'info' : 'error';
  log({ level, event: 'failed', videoId, code, message: messageOf(error), stack: stackOf(error) });
  try {
    await callbacks.sendTaskFailure(message.taskToken, code, causeOf(error));
  } catch (answerError) {
    if (!(answerError instanceof TaskGoneError)) throw answerError;
  }
  await queue.delete(receipt);
  await forgetCheckpoint(dependencies, log, videoId);
}

/**
 * Puts a new message in the place of this one: the queue counts deliveries of a message, and would take
 * a request for the reason why its workers stop when Spot machines are taken away often. A worker that
 * ends between the two leaves both, of which the second to be done finds nobody waiting.
 */
async function giveBack(
  queue: WorkerDependencies['queue'],
  received: ReceivedMessage,
): Promise<void> {
  const earlierDeliveries = fruitlessDeliveries(received);
  await queue.send({ ...received.message, earlierDeliveries });
  await queue.delete(received.receipt);
}

/** What whoever waits for the video is told. */
function causeOf(error: unknown): string {
  return error instanceof FlexCacheError ? messageWithFix(error) : messageOf(error);
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
