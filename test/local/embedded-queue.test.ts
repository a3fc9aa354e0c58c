import { describe, expect, test } from 'vitest';
import { EmbeddedQueue } from '#local/embedded-queue.ts';
import { sampleMessage, sampleRequest } from '../aws/samples.ts';
import { workQueueContract } from '../ports/work-queue.contract.ts';

describe('EmbeddedQueue', () => {
  workQueueContract(async () => new EmbeddedQueue());

  test('closing answers everyone who waits', async () => {
    const queue = new EmbeddedQueue();
    const waiting = [queue.receive(60, 30), queue.receive(60, 30)];

    queue.close();

    expect(await Promise.all(waiting)).toEqual([null, null]);
    await queue.send(sampleMessage());
    expect(await queue.receive(60, 30)).toBeNull();
  });

  test('what somebody waits for goes before a backfill', async () => {
    const queue = new EmbeddedQueue();
    const backfill = sampleMessage({ request: sampleRequest({ pool: 'backfill' }) });
    const interactive = sampleMessage();
    await queue.send(backfill);
    await queue.send(interactive);

    const order = [await queue.receive(0, 30), await queue.receive(0, 30)];

    expect(order.map((received) => received!.message.taskToken)).toEqual([
      interactive.taskToken,
      backfill.taskToken,
    ]);
  });

  test('what the sender changes later does not reach the message', async () => {
    const queue = new EmbeddedQueue();
    const message = sampleMessage();
    await queue.send(message);

    message.plan.steps = 99;

    expect((await queue.receive(0, 30))!.message.plan.steps).toBe(12);
  });

  test('the receipt of an earlier delivery neither deletes nor extends the later one', async () => {
    const queue = new EmbeddedQueue();
    await queue.send(sampleMessage());
    const first = await queue.receive(0, 0.02);
    const second = await queue.receive(5, 0.2);

    await queue.delete(first!.receipt);
    await expect(queue.extend(first!.receipt, 30)).rejects.toMatchObject({
      code: 'condition_failed',
    });

    expect(second!.deliveries).toBe(2);
    expect((await queue.receive(5, 30))!.deliveries).toBe(3);
  });
});
