import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { fromAws } from './aws-errors.ts';
import { meterQueueRequest } from '#ports/queue-requests.ts';

/** Messages of a queue, as far as it knows: SQS counts from some of its servers. */
export interface Backlog {
  /** Nobody has them. */
  waiting: number;
  /** A worker has them, or had them within the visibility timeout. */
  inFlight: number;
}

/** @throws FlexCacheError */
export async function readBacklog(client: SQSClient, queueUrl: string): Promise<Backlog> {
  try {
    const { Attributes: attributes = {} } = await client.send(
      new GetQueueAttributesCommand({
        QueueUrl: queueUrl,
        AttributeNames: [
          'ApproximateNumberOfMessages',
          'ApproximateNumberOfMessagesNotVisible',
          'ApproximateNumberOfMessagesDelayed',
        ],
      }),
    );
    meterQueueRequest();
    const count = (name: keyof typeof attributes): number => Number(attributes[name] ?? 0);
    return {
      waiting: count('ApproximateNumberOfMessages') + count('ApproximateNumberOfMessagesDelayed'),
      inFlight: count('ApproximateNumberOfMessagesNotVisible'),
    };
  } catch (error) {
    throw fromAws(error, `see how long the queue ${queueUrl} is`);
  }
}
