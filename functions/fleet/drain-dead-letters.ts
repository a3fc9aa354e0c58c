import type { Pool } from '#core/generation.ts';
import { BACKFILL_ID_PATTERN } from '#core/requests/identity.ts';
import { TaskGoneError } from '#ports/errors.ts';
import type { DeadLetter, DeadLetterQueue } from '#aws/dead-letter-queue.ts';
import type { GenerateMessage } from '#ports/queue.ts';
import type { TaskCallbacks } from '#ports/workflow.ts';
import type { EndedBackfill } from '../shared/backfill-states.ts';
import type { EndedExecution } from '../shared/states.ts';
import type { Telemetry } from '../shared/telemetry.ts';

export interface DeadLetterServices {
  /** Requests that crashed every worker. */
  deadLetters: Readonly<Record<Pool, DeadLetterQueue>>;
  /** End events of executions that Fail or Close did not handle. */
  lostEnds: DeadLetterQueue;
  /** Undelivered webhook events: counted and kept for an operator. */
  givenUpWebhooks: Pick<DeadLetterQueue, 'count'>;
  /** Calls the functions again for lost ends. */
  ends: EndFunctions;
  callbacks: Pick<TaskCallbacks, 'sendTaskFailure'>;
  telemetry: Pick<Telemetry, 'log' | 'measure'>;
}

/** Calls Fail and Close asynchronously. */
export interface EndFunctions {
  fail(ended: EndedExecution): Promise<void>;
  close(ended: EndedBackfill): Promise<void>;
}

const CODE = 'internal';
const REASON =
  'every worker that received the request crashed: submit the request again; if it happens again, check the worker logs for this video id';

/** Time limit per queue, within the one-minute timeout of the function; the next run continues. */
const MAX_MILLISECONDS = 20_000;

/**
 * Drains the dead-letter queues: fails requests that crashed every worker, resends lost ends of executions, and
 * drops unreadable messages. Publishes the number of messages as a metric with an alarm.
 *
 * @throws the first error of a queue, after all queues were tried.
 */
export async function drainDeadLetters(services: DeadLetterServices): Promise<void> {
  const { deadLetters, lostEnds, givenUpWebhooks, telemetry } = services;
  const outcomes = await Promise.allSettled([
    ...Object.values(deadLetters).map((queue) =>
      empty(queue, services, (deadLetter) => failRequest(services, deadLetter)),
    ),
    empty(lostEnds, services, (deadLetter) => tellAgain(services, deadLetter)),
    givenUpWebhooks.count(),
  ]);
  const found = outcomes.reduce(
    (sum, outcome) => sum + (outcome.status === 'fulfilled' ? outcome.value : 0),
    0,
  );
  if (found > 0) {
    telemetry.log({ level: 'error', event: 'dead_letters', found });
    telemetry.measure({ deadLetters: found }, {});
  }
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Processes all messages of a queue. A failed message reappears after the visibility timeout. */
async function empty(
  queue: DeadLetterQueue,
  { telemetry }: DeadLetterServices,
  dealWith: (deadLetter: DeadLetter) => Promise<void>,
): Promise<number> {
  const until = performance.now() + MAX_MILLISECONDS;
  let found = 0;
  while (performance.now() < until) {
    const letters = await queue.take();
    if (letters.length === 0) break;
    found += letters.length;
    for (const deadLetter of letters) {
      try {
        await dealWith(deadLetter);
        await queue.drop(deadLetter.receipt);
      } catch (error) {
        const { id: messageId } = deadLetter;
        telemetry.log({ level: 'warn', event: 'dead_letter_kept', messageId, error });
      }
    }
  }
  return found;
}

async function failRequest(
  { callbacks, telemetry }: DeadLetterServices,
  deadLetter: DeadLetter,
): Promise<void> {
  const { taskToken, request } = readJson<Partial<GenerateMessage>>(deadLetter) ?? {};
  if (typeof taskToken !== 'string' || taskToken === '') {
    tellUnreadable(telemetry, deadLetter);
    return;
  }
  const videoId = request?.videoId;
  const { id: messageId } = deadLetter;
  telemetry.log({
    level: 'error',
    event: 'dead_letter',
    messageId,
    ...(videoId !== undefined && { videoId }),
  });
  try {
    await callbacks.sendTaskFailure(taskToken, CODE, REASON);
  } catch (error) {
    if (!(error instanceof TaskGoneError)) throw error;
  }
}

/** An undelivered EventBridge event about an execution. */
interface StatusChange {
  detail: { name: string; status: string };
}

type LostEnd = Partial<EndedExecution & EndedBackfill & StatusChange>;

async function tellAgain(
  { ends, telemetry }: DeadLetterServices,
  deadLetter: DeadLetter,
): Promise<void> {
  const { execution, backfillId, error, detail } = readJson<LostEnd>(deadLetter) ?? {};
  telemetry.log({ level: 'error', event: 'end_lost', messageId: deadLetter.id });
  if (execution !== undefined && error !== undefined) return ends.fail({ execution, error });
  if (backfillId !== undefined && error !== undefined) return ends.close({ backfillId, error });
  if (detail === undefined) return tellUnreadable(telemetry, deadLetter);
  const ended = { Error: `Execution.${detail.status}`, Cause: '' };
  return BACKFILL_ID_PATTERN.test(detail.name)
    ? ends.close({ backfillId: detail.name, error: ended })
    : ends.fail({ execution: detail.name, error: ended });
}

function tellUnreadable(
  telemetry: DeadLetterServices['telemetry'],
  { id, body }: DeadLetter,
): void {
  const bytes = Buffer.byteLength(body);
  telemetry.log({ level: 'error', event: 'dead_letter_unreadable', messageId: id, bytes });
}

function readJson<Value extends object>({ body }: DeadLetter): Value | null {
  try {
    return JSON.parse(body) as Value | null;
  } catch {
    return null;
  }
}
