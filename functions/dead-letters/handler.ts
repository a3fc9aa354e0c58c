import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { TaskGoneError } from '#stores/errors.ts';
import type { GenerateMessage } from '#stores/queue.ts';
import { SfnTaskCallbacks } from '#stores/sfn-workflow.ts';
import type { TaskCallbacks } from '#stores/workflow.ts';
import { deployedTelemetry } from '../deployed-telemetry.ts';
import { lazily } from '../services.ts';
import { traced, type Telemetry } from '../telemetry.ts';

export interface DeadLetterServices {
  callbacks: Pick<TaskCallbacks, 'sendTaskFailure'>;
  telemetry: Pick<Telemetry, 'log'>;
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
  telemetry,
}: DeadLetterServices): (event: SQSEvent) => Promise<SQSBatchResponse> {
  const answer = async (record: SQSRecord): Promise<void> => {
    const { messageId } = record;
    const message = readMessage(record.body);
    if (message === null) {
      const bytes = Buffer.byteLength(record.body);
      telemetry.log({ level: 'error', event: 'dead_letter_unreadable', messageId, bytes });
      return;
    }
    const { videoId } = message;
    telemetry.log({
      level: 'error',
      event: 'dead_letter',
      messageId,
      ...(videoId !== undefined && { videoId }),
    });
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
        const { messageId } = record;
        telemetry.log({ level: 'warn', event: 'dead_letter_unanswered', messageId, error });
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

export const handler = lazily(async () => {
  const telemetry = deployedTelemetry();
  return traced(
    'dead_letters',
    createDeadLettersHandler({ callbacks: new SfnTaskCallbacks(), telemetry }),
  );
});
