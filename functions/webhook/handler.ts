import { ChangeMessageVisibilityCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { DynamoDeliveryLog } from '#aws/deliveries.ts';
import { parseNotification } from '#ports/notifications.ts';
import { deployedPrices } from '../shared/deployed-prices.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import {
  deployedBackfills,
  deployedObjects,
  deployedVideoDays,
  deployedTable,
  deployedTenants,
  lazily,
  variable,
} from '../shared/services.ts';
import { deliver, type DeliveryServices } from './deliver.ts';

export interface WebhookServices extends DeliveryServices {
  /** Sets the visibility timeout of a message. */
  hide: (receipt: string, seconds: number) => Promise<void>;
}

/**
 * Delivers webhook events. An undelivered event stays in the queue until its next attempt. After the last
 * attempt it becomes visible at once, so that the queue moves it to the dead letters.
 */
export function createWebhookHandler(
  services: WebhookServices,
): (event: SQSEvent) => Promise<SQSBatchResponse> {
  const isDone = async (record: SQSRecord): Promise<boolean> => {
    const { body, receiptHandle, attributes } = record;
    const deliveries = Number(attributes.ApproximateReceiveCount);
    const outcome = await deliver(services, parseNotification(body), deliveries);
    if (outcome.status === 'settled') return true;
    await services.hide(receiptHandle, outcome.retrySeconds ?? 0);
    return false;
  };
  return async ({ Records: records }) => {
    const failures = await Promise.all(
      records.map(async (record) => {
        try {
          return (await isDone(record)) ? [] : [{ itemIdentifier: record.messageId }];
        } catch (error) {
          const { messageId } = record;
          services.log({ level: 'error', event: 'webhook_unsent', messageId, error });
          return [{ itemIdentifier: messageId }];
        }
      }),
    );
    return { batchItemFailures: failures.flat() };
  };
}

/** Returns a function that sets the visibility timeout of messages in a queue. */
export function hideIn(
  queueUrl: string,
  client: SQSClient = new SQSClient({}),
): WebhookServices['hide'] {
  return async (receipt, seconds) => {
    await client.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl: queueUrl,
        ReceiptHandle: receipt,
        VisibilityTimeout: seconds,
      }),
    );
  };
}

export const handler = lazily(async () => {
  return createWebhookHandler({
    table: deployedTable(),
    backfills: deployedBackfills(),
    tenants: deployedTenants(),
    deliveries: new DynamoDeliveryLog({ tableName: variable(ENVIRONMENT.tableName) }),
    objects: deployedObjects(),
    prices: deployedPrices(),
    videosExpireAfterDays: deployedVideoDays(),
    log: deployedTelemetry().log,
    hide: hideIn(variable(ENVIRONMENT.webhookQueueUrl)),
  });
});
