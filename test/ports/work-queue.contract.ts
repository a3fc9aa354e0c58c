import { describe, expect, test } from 'vitest';
import { ConditionFailedError } from '#core/errors.ts';
import type { WorkQueue } from '#ports/queue.ts';
import { sampleMessage } from '../aws/samples.ts';

/** What every work queue does. `open` gives an empty queue. */
export function workQueueContract(open: () => Promise<WorkQueue>): void {
  describe('messages', () => {
    test('a message that was sent is received as it was', async () => {
      const queue = await open();
      const message = sampleMessage();
      await queue.send(message);

      const received = await queue.receive(1, 30);

      expect(received).toMatchObject({ message, deliveries: 1 });
    });

    test('an empty queue answers null', async () => {
      expect(await (await open()).receive(0, 30)).toBeNull();
    });

    test('who waits gets the message that comes in the meantime', async () => {
      const queue = await open();
      const message = sampleMessage();

      const receiving = queue.receive(10, 30);
      await queue.send(message);

      expect((await receiving)?.message).toEqual(message);
    });

    test('a message in hand is hidden from others', async () => {
      const queue = await open();
      await queue.send(sampleMessage());
      await queue.receive(1, 30);

      expect(await queue.receive(0, 30)).toBeNull();
    });

    test('a message that is not deleted in time is handed out again, and counted', async () => {
      const queue = await open();
      const message = sampleMessage();
      await queue.send(message);
      await queue.receive(1, 1);

      const second = await queue.receive(5, 30);

      expect(second).toMatchObject({ message, deliveries: 2 });
    });

    test('a message that is deleted does not come back; twice is as good as once', async () => {
      const queue = await open();
      await queue.send(sampleMessage());
      const received = await queue.receive(1, 1);

      await queue.delete(received!.receipt);
      await queue.delete(received!.receipt);

      expect(await queue.receive(2, 1)).toBeNull();
    });

    test('extending keeps a message hidden', async () => {
      const queue = await open();
      await queue.send(sampleMessage());
      const received = await queue.receive(1, 1);

      await queue.extend(received!.receipt, 30);

      expect(await queue.receive(2, 1)).toBeNull();
    });

    test('extending by nothing hands the message back', async () => {
      const queue = await open();
      await queue.send(sampleMessage());
      const received = await queue.receive(1, 30);

      await queue.extend(received!.receipt, 0);

      expect(await queue.receive(2, 30)).toMatchObject({ deliveries: 2 });
    });

    test('a message that is done cannot be extended', async () => {
      const queue = await open();
      await queue.send(sampleMessage());
      const received = await queue.receive(1, 30);
      await queue.delete(received!.receipt);

      await expect(queue.extend(received!.receipt, 30)).rejects.toThrow(ConditionFailedError);
    });

    test('ten workers share twenty messages, each handed out once', async () => {
      const queue = await open();
      const messages = Array.from({ length: 20 }, () => sampleMessage());
      for (const message of messages) await queue.send(message);

      const taken: string[] = [];
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          for (let got = await queue.receive(1, 30); got; got = await queue.receive(0, 30)) {
            taken.push(got.message.taskToken);
            await queue.delete(got.receipt);
          }
        }),
      );

      expect(taken.sort()).toEqual(messages.map(({ taskToken }) => taskToken).sort());
    });

    test('an aborted wait answers null at once', async () => {
      const queue = await open();
      const stop = new AbortController();

      const receiving = queue.receive(20, 30, stop.signal);
      setTimeout(() => stop.abort(), 50);

      expect(await receiving).toBeNull();
    });
  });
}
