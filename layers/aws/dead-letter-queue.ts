import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { fromAws } from './aws-errors.ts';

/** A message as it came, whatever it is. */
export interface DeadLetter {
  id: string;
  body: string;
  receipt: string;
}

/** A queue that nobody listens to: it is looked into now and then. */
export interface DeadLetterQueue {
  /** How many messages are in it, about. */
  count(): Promise<number>;
  /** Some of them, hidden from others for the visibility of the queue; none when it is empty. */
  take(): Promise<DeadLetter[]>;
  /** Idempotent. */
  drop(receipt: string): Promise<void>;
}

/** The most that one ReceiveMessage returns (SQS quotas). */
const MAX_LETTERS = 10;

/** A queue of SQS, asked without waiting: what one look misses the next one finds. */
export class SqsDeadLetterQueue implements DeadLetterQueue {
  readonly #queueUrl: string;
  readonly #client: SQSClient;

  constructor({ queueUrl, client }: { queueUrl: string; client?: SQSClient }) {
    this.#queueUrl = queueUrl;
    this.#client = client ?? new SQSClient({});
  }

  count(): Promise<number> {
    return this.#ask(async () => {
      const name = 'ApproximateNumberOfMessages';
      const { Attributes: attributes } = await this.#client.send(
        new GetQueueAttributesCommand({ QueueUrl: this.#queueUrl, AttributeNames: [name] }),
      );
      return Number(attributes?.[name] ?? 0);
    });
  }

  take(): Promise<DeadLetter[]> {
    return this.#ask(async () => {
      const { Messages: messages = [] } = await this.#client.send(
        new ReceiveMessageCommand({
          QueueUrl: this.#queueUrl,
          MaxNumberOfMessages: MAX_LETTERS,
          WaitTimeSeconds: 0,
        }),
      );
      return messages.map(({ MessageId: id, Body: body, ReceiptHandle: receipt }) => ({
        id: id!,
        body: body ?? '',
        receipt: receipt!,
      }));
    });
  }

  async drop(receipt: string): Promise<void> {
    await this.#ask(() =>
      this.#client.send(
        new DeleteMessageCommand({ QueueUrl: this.#queueUrl, ReceiptHandle: receipt }),
      ),
    );
  }

  async #ask<Answer>(send: () => Promise<Answer>): Promise<Answer> {
    try {
      return await send();
    } catch (error) {
      throw fromAws(error, `look into the queue ${this.#queueUrl}`);
    }
  }
}
