import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { beforeAll, describe, expect, test } from 'vitest';
import { MAX_DELIVERIES } from '#functions/webhook/delivery-schedule.ts';
import { createWebhookHandler, hideIn } from '#functions/webhook/handler.ts';
import { parseNotification, type Notification } from '#ports/notifications.ts';
import { SqsNotificationQueue } from '#aws/sqs-notification-queue.ts';
import { describeOnMoto } from '../../describe-on-moto.ts';
import { motoClientOptions } from '../../moto.ts';
import { unique } from '../../aws/samples.ts';
import { endedJob, useDeliveries } from './deliveries.ts';
import { startReceiver } from './receiver.ts';

const services = useDeliveries();

function eventOf(...records: { body: string; deliveries?: number }[]): SQSEvent {
  return {
    Records: records.map(
      ({ body, deliveries = 1 }, index) =>
        ({
          messageId: `message-${index}`,
          receiptHandle: `receipt-${index}`,
          body,
          attributes: { ApproximateReceiveCount: String(deliveries) },
        }) as SQSRecord,
    ),
  };
}

function told(id: string, deliveries?: number) {
  const body = JSON.stringify({ kind: 'video', id } satisfies Notification);
  return deliveries === undefined ? { body } : { body, deliveries };
}

describe('the webhook function', () => {
  function open() {
    const hidden: [string, number][] = [];
    const handler = createWebhookHandler({
      ...services(),
      hide: async (receipt, seconds) => void hidden.push([receipt, seconds]),
    });
    return { handler, hidden };
  }

  test('of a batch what was delivered is done, what was not comes back in its time', async () => {
    const [up, down] = [await startReceiver(), await startReceiver([{ status: 503 }])];
    const delivered = await endedJob(services(), { webhook: up.url });
    const failed = await endedJob(services(), { webhook: down.url });
    const { handler, hidden } = open();

    const answer = await handler(
      eventOf(told(delivered.job.videoId), told(failed.job.videoId, 3), { body: 'no JSON' }),
    );

    expect(answer).toEqual({
      batchItemFailures: [{ itemIdentifier: 'message-1' }, { itemIdentifier: 'message-2' }],
    });
    expect(hidden).toEqual([['receipt-1', expect.any(Number)]]);
    expect(hidden[0]![1]).toBeGreaterThanOrEqual(96);
    expect(hidden[0]![1]).toBeLessThanOrEqual(144);
    expect(up.received).toHaveLength(1);
  });

  test('after the last time the queue gets the message back at once, to put it aside', async () => {
    const down = await startReceiver([{ status: 503 }]);
    const { job } = await endedJob(services(), { webhook: down.url });
    const { handler, hidden } = open();

    const answer = await handler(eventOf(told(job.videoId, MAX_DELIVERIES)));

    expect(answer.batchItemFailures).toHaveLength(1);
    expect(hidden).toEqual([['receipt-0', 0]]);
  });

  test('a message that cannot be put off is reported all the same', async () => {
    const down = await startReceiver([{ status: 503 }]);
    const { job } = await endedJob(services(), { webhook: down.url });
    const handler = createWebhookHandler({
      ...services(),
      hide: () => Promise.reject(new Error('no queue')),
    });

    const answer = await handler(eventOf(told(job.videoId)));

    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-0' }] });
    expect(services().events.at(-1)).toMatchObject({ level: 'error', event: 'webhook_unsent' });
  });
});

test.each(['', 'null', '7', '{}', '{"kind":"song","id":"a"}', '{"kind":"video"}'])(
  '%j is no notification',
  (text) => {
    expect(() => parseNotification(text)).toThrow(
      expect.objectContaining({ code: 'invalid_input' }),
    );
  },
);

describeOnMoto('the webhook queue on moto', (endpoint) => {
  let client: SQSClient;
  let queueUrl: string;
  beforeAll(async () => {
    client = new SQSClient(motoClientOptions(endpoint));
    const queue = await client.send(new CreateQueueCommand({ QueueName: unique('webhooks-') }));
    queueUrl = queue.QueueUrl!;
  });

  test('what was sent is received, and put off for as long as it is told', async () => {
    const receive = () =>
      client.send(new ReceiveMessageCommand({ QueueUrl: queueUrl, VisibilityTimeout: 60 }));
    await new SqsNotificationQueue({ queueUrl, client }).send({ kind: 'video', id: 'vid_1' });

    const [message] = (await receive()).Messages!;
    const hidden = await receive();
    await hideIn(queueUrl, client)(message!.ReceiptHandle!, 0);
    const [again] = (await receive()).Messages!;

    expect(parseNotification(message!.Body!)).toEqual({ kind: 'video', id: 'vid_1' });
    expect(hidden.Messages ?? []).toEqual([]);
    expect(again!.MessageId).toBe(message!.MessageId);
  });
});
