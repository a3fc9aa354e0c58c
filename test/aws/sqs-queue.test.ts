import { CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { SqsQueue } from '#aws/sqs-queue.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { sampleMessage, unique } from './samples.ts';
import { workQueueContract } from '../ports/work-queue.contract.ts';

describeOnMoto('SqsQueue on moto', (endpoint) => {
  const client = new SQSClient(motoClientOptions(endpoint || 'http://127.0.0.1:9'));
  const createQueue = async (): Promise<string> => {
    const created = await client.send(new CreateQueueCommand({ QueueName: unique('queue-') }));
    return created.QueueUrl!;
  };

  workQueueContract(async () => new SqsQueue({ queueUrl: await createQueue(), client }));

  test('a message without a time of its own has the time at which it came', async () => {
    const queueUrl = await createQueue();
    const queue = new SqsQueue({ queueUrl, client });
    const { sentAt: _, ...message } = sampleMessage();
    const before = Date.now();
    await client.send(
      new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify(message) }),
    );

    const received = await queue.receive(1, 30);

    expect(received!.message.sentAt).toBeGreaterThanOrEqual(before - 1000);
    expect(received!.message.sentAt).toBeLessThanOrEqual(Date.now() + 1000);
  });

  test('a message that is not JSON is an error and goes on to the dead-letter queue', async () => {
    const queueUrl = await createQueue();
    await client.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: 'hello' }));

    const receiving = new SqsQueue({ queueUrl, client }).receive(1, 30);

    await expect(receiving).rejects.toMatchObject({ code: 'invalid_input' });
  });

  test('a queue that is not there is named with a fix', async () => {
    const absent = new SqsQueue({ queueUrl: `${endpoint}/123456789012/absent`, client });

    await expect(absent.send(sampleMessage())).rejects.toMatchObject({ code: 'not_found' });
  });
});
