import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import { awsErrorName, fromAws } from './aws-errors.ts';
import type { GenerateMessage, ReceivedMessage, WorkQueue } from '#ports/queue.ts';
import { meterQueueRequest } from '#ports/queue-requests.ts';

/** The longest that one ReceiveMessage waits (SQS quotas). */
const MAX_WAIT_SECONDS = 20;

/** How SQS says that a receipt no longer holds its message. */
const LOST_RECEIPT: ReadonlySet<string> = new Set([
  'InvalidParameterValue',
  'InvalidParameterValueException',
  'MessageNotInflight',
  'ReceiptHandleIsInvalid',
]);

export interface SqsQueueOptions {
  queueUrl: string;
  client?: SQSClient;
}

/**
 * Work for the GPU fleet on a standard SQS queue. What cannot be handled goes to the queue's own
 * dead-letter queue by its redrive policy.
 *
 * @example
 * const queue = new SqsQueue({ queueUrl });
 * const received = await queue.receive(20, 90);
 */
export class SqsQueue implements WorkQueue {
  readonly #queueUrl: string;
  readonly #client: SQSClient;

  constructor({ queueUrl, client }: SqsQueueOptions) {
    this.#queueUrl = queueUrl;
    this.#client = client ?? new SQSClient({});
  }

  async send(message: GenerateMessage): Promise<void> {
    const body = JSON.stringify(message);
    try {
      await this.#client.send(
        new SendMessageCommand({ QueueUrl: this.#queueUrl, MessageBody: body }),
      );
      meterQueueRequest(body);
    } catch (error) {
      throw fromAws(error, `send the message of ${message.request.videoId}`);
    }
  }

  async receive(
    waitSeconds: number,
    visibilitySeconds: number,
    signal?: AbortSignal,
  ): Promise<ReceivedMessage | null> {
    let message;
    try {
      const answer = await this.#client.send(
        new ReceiveMessageCommand({
          QueueUrl: this.#queueUrl,
          MaxNumberOfMessages: 1,
          WaitTimeSeconds: Math.min(Math.ceil(waitSeconds), MAX_WAIT_SECONDS),
          VisibilityTimeout: Math.ceil(visibilitySeconds),
          MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp'],
        }),
        signal ? { abortSignal: signal } : {},
      );
      message = answer.Messages?.[0];
      meterQueueRequest(message?.Body);
    } catch (error) {
      if (signal?.aborted) return null;
      throw fromAws(error, 'receive a message');
    }
    if (!message) return null;
    return {
      message: parseMessage(message.Body!, Number(message.Attributes?.SentTimestamp)),
      receipt: message.ReceiptHandle!,
      deliveries: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
    };
  }

  async extend(receipt: string, visibilitySeconds: number): Promise<void> {
    try {
      await this.#client.send(
        new ChangeMessageVisibilityCommand({
          QueueUrl: this.#queueUrl,
          ReceiptHandle: receipt,
          VisibilityTimeout: Math.ceil(visibilitySeconds),
        }),
      );
      meterQueueRequest();
    } catch (error) {
      if (LOST_RECEIPT.has(awsErrorName(error))) {
        meterQueueRequest();
        throw new ConditionFailedError('the message was handed out again or is done', {
          cause: error,
        });
      }
      throw fromAws(error, 'keep a message');
    }
  }

  async delete(receipt: string): Promise<void> {
    try {
      await this.#client.send(
        new DeleteMessageCommand({ QueueUrl: this.#queueUrl, ReceiptHandle: receipt }),
      );
      meterQueueRequest();
    } catch (error) {
      if (!LOST_RECEIPT.has(awsErrorName(error))) throw fromAws(error, 'delete a message');
    }
  }
}

/** A state machine cannot write epoch milliseconds: without `sentAt` the queue's own time stands. */
function parseMessage(body: string, sentTimestamp: number): GenerateMessage {
  try {
    const message = JSON.parse(body) as GenerateMessage;
    return typeof message.sentAt === 'number' ? message : { ...message, sentAt: sentTimestamp };
  } catch (error) {
    throw new FlexCacheError('invalid_input', 'a message of the work queue is not JSON', {
      cause: error,
      fix: 'see who else writes to this queue; the message goes to the dead-letter queue',
    });
  }
}
