import { CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, it } from 'vitest';
import { SqsLetterBox } from '#stores/letter-box.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { unique } from './samples.ts';

describeOnMoto('SqsLetterBox on moto', (endpoint) => {
  const client = new SQSClient(motoClientOptions(endpoint || 'http://127.0.0.1:9'));

  it('hands out what came as it came, until it is dropped', async () => {
    // Prepare
    const { QueueUrl } = await client.send(
      new CreateQueueCommand({
        QueueName: unique('letters-'),
        Attributes: { VisibilityTimeout: '0' },
      }),
    );
    const box = new SqsLetterBox({ queueUrl: QueueUrl!, client });
    const empty = [await box.count(), await box.take()];
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'no JSON' }));

    // Act
    const count = await box.count();
    const [letter] = await box.take();
    await box.drop(letter!.receipt);

    // Assess
    expect(empty).toEqual([0, []]);
    expect(count).toBe(1);
    expect(letter).toMatchObject({ body: 'no JSON', id: expect.any(String) });
    expect(await box.take()).toEqual([]);
  });

  it('says which queue cannot be looked into', async () => {
    const box = new SqsLetterBox({ queueUrl: `${endpoint}/1/absent`, client });

    await expect(box.take()).rejects.toThrow(/absent/);
  });
});
