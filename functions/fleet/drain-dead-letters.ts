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
  /** Requests that no worker could answer. */
  deadLetters: Readonly<Record<Pool, DeadLetterQueue>>;
  /** Ends of executions that Fail or Close could not take. */
  lostEnds: DeadLetterQueue;
  /** Announcements that were given up: counted, and left to a person. */
  givenUpWebhooks: Pick<DeadLetterQueue, 'count'>;
  /** Tells the functions of the workflow once more. */
  ends: EndFunctions;
  callbacks: Pick<TaskCallbacks, 'sendTaskFailure'>;
  telemetry: Pick<Telemetry, 'log' | 'measure'>;
}

/** Calls Fail and Close without waiting for them. */
export interface EndFunctions {
  fail(ended: EndedExecution): Promise<void>;
  close(ended: EndedBackfill): Promise<void>;
}

const CODE = 'internal';
const REASON =
  'every worker that took up the request ended before it could say why: submit the request again, and look at the logs of the workers for this video id when it happens again';

/** The rest is left to the next look: a function has no more than a minute. */
const LONGEST_MILLISECONDS = 20_000;

/**
 * Looks into the queues of what went wrong. Requests that no worker could answer are failed, and ends of
 * executions that were not taken are told again; what is none of ours is dropped, for nobody waits for
 * it. How much there was is a metric, on which there is an alarm.
 *
 * @throws the first error of a queue that could not be looked into, after the others were.
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

/** What cannot be dealt with shows again after the visibility of its queue. */
async function empty(
  queue: DeadLetterQueue,
  { telemetry }: DeadLetterServices,
  dealWith: (deadLetter: DeadLetter) => Promise<void>,
): Promise<number> {
  const until = performance.now() + LONGEST_MILLISECONDS;
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

/** What EventBridge says of an execution, where it could not hand it over. */
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
