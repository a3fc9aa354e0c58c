import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { fromAws } from './aws-errors.ts';
import type { Notification, NotificationQueue } from '#ports/notifications.ts';
import { meterQueueRequest } from '#ports/queue-requests.ts';

export interface SqsNotificationQueueOptions {
  queueUrl: string;
  client?: SQSClient;
}

/**
 * Announcements on a standard SQS queue, from which the `webhook` function delivers them.
 *
 * @example
 * await new SqsNotificationQueue({ queueUrl }).send({ kind: 'video', id: job.videoId });
 */
export class SqsNotificationQueue implements NotificationQueue {
  readonly #queueUrl: string;
  readonly #client: SQSClient;

  constructor({ queueUrl, client }: SqsNotificationQueueOptions) {
    this.#queueUrl = queueUrl;
    this.#client = client ?? new SQSClient({});
  }

  async send(notification: Notification): Promise<void> {
    try {
      await this.#client.send(
        new SendMessageCommand({
          QueueUrl: this.#queueUrl,
          MessageBody: JSON.stringify(notification),
        }),
      );
      meterQueueRequest();
    } catch (error) {
      throw fromAws(error, `announce the end of ${notification.id}`);
    }
  }
}
