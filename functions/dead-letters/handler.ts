import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { TaskGoneError } from '#stores/errors.ts';
import type { GenerateMessage } from '#stores/queue.ts';
import { SfnTaskCallbacks } from '#stores/sfn-workflow.ts';
import type { TaskCallbacks } from '#stores/workflow.ts';
import { lazily } from '../services.ts';

export interface DeadLetterServices {
  callbacks: Pick<TaskCallbacks, 'sendTaskFailure'>;
  /** Told what became of a message, or why nothing could. */
  warn: (event: 'dead_letter' | 'unreadable' | 'unanswered', details: object) => void;
}

const CODE = 'internal';
const REASON =
  'every worker that took up the request ended before it could say why: submit the request again, and look at the logs of the workers for this video id when it happens again';

/**
 * Fails the requests that no worker could answer. A message that is none of ours is dropped: nobody
 * waits for it.
 */
export function createDeadLettersHandler({
  callbacks,
  warn,
}: DeadLetterServices): (event: SQSEvent) => Promise<SQSBatchResponse> {
  const answer = async (record: SQSRecord): Promise<void> => {
    const message = readMessage(record.body);
    if (message === null) {
      warn('unreadable', { messageId: record.messageId, bytes: Buffer.byteLength(record.body) });
      return;
    }
    warn('dead_letter', { messageId: record.messageId, videoId: message.videoId });
    try {
      await callbacks.sendTaskFailure(message.taskToken, CODE, REASON);
    } catch (error) {
      if (!(error instanceof TaskGoneError)) throw error;
    }
  };
  return async ({ Records: records }) => {
    const failed: SQSBatchResponse['batchItemFailures'] = [];
    for (const record of records) {
      try {
        await answer(record);
      } catch (error) {
        warn('unanswered', { messageId: record.messageId, error });
        failed.push({ itemIdentifier: record.messageId });
      }
    }
    return { batchItemFailures: failed };
  };
}

function readMessage(body: string): { taskToken: string; videoId: string | undefined } | null {
  let message: Partial<GenerateMessage> | null;
  try {
    message = JSON.parse(body) as Partial<GenerateMessage> | null;
  } catch {
    return null;
  }
  const taskToken = message?.taskToken;
  if (typeof taskToken !== 'string' || taskToken === '') return null;
  return { taskToken, videoId: message?.request?.videoId };
}

export const handler = lazily(async () =>
  createDeadLettersHandler({
    callbacks: new SfnTaskCallbacks(),
    warn: (event, details) => console.warn(event, details),
  }),
);
