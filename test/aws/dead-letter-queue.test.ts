import { CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, it } from 'vitest';
import { SqsDeadLetterQueue } from '#aws/dead-letter-queue.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { unique } from './samples.ts';

describeOnMoto('SqsDeadLetterQueue on moto', (endpoint) => {
  const client = new SQSClient(motoClientOptions(endpoint || 'http://127.0.0.1:9'));

  it('hands out what came as it came, until it is dropped', async () => {
    // Prepare
    const { QueueUrl } = await client.send(
      new CreateQueueCommand({
        QueueName: unique('letters-'),
        Attributes: { VisibilityTimeout: '0' },
      }),
    );
    const queue = new SqsDeadLetterQueue({ queueUrl: QueueUrl!, client });
    const empty = [await queue.count(), await queue.take()];
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'no JSON' }));

    // Act
    const count = await queue.count();
    const [deadLetter] = await queue.take();
    await queue.drop(deadLetter!.receipt);

    // Assess
    expect(empty).toEqual([0, []]);
    expect(count).toBe(1);
    expect(deadLetter).toMatchObject({ body: 'no JSON', id: expect.any(String) });
    expect(await queue.take()).toEqual([]);
  });

  it('says which queue cannot be looked into', async () => {
    const queue = new SqsDeadLetterQueue({ queueUrl: `${endpoint}/1/absent`, client });

    await expect(queue.take()).rejects.toThrow(/absent/);
  });
});
