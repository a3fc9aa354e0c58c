import { expect, test } from 'vitest';
import { POOLS, type Pool } from '#core/generation.ts';
import { createFleetHandler } from '#functions/fleet/handler.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { EmbeddedQueue } from '#local/embedded-queue.ts';
import { TaskGoneError } from '#ports/errors.ts';
import type { DeadLetterQueue } from '#aws/dead-letter-queue.ts';
import { sampleMessage } from '../aws/samples.ts';

function prepare({ deserted = [] as Pool[], broken = [] as Pool[], minute = 1 } = {}) {
  const queues = { interactive: new EmbeddedQueue(), backfill: new EmbeddedQueue() };
  const failed: { taskToken: string; error: string; cause: string }[] = [];
  const logged: TelemetryEvent[] = [];
  const gone = new Set<string>();
  let looks = 0;
  const nothing: DeadLetterQueue = {
    count: async () => 0,
    take: async () => {
      looks++;
      return [];
    },
    drop: async () => {},
  };
  const handler = createFleetHandler({
    fleet: {
      reconcile: async (pool) => {
        if (broken.includes(pool)) throw new Error(`${pool} cannot be looked at`);
        return { isDeserted: deserted.includes(pool) };
      },
    },
    queues,
    callbacks: {
      sendTaskFailure: async (taskToken, error, cause) => {
        if (gone.has(taskToken)) throw new TaskGoneError();
        failed.push({ taskToken, error, cause });
      },
    },
    deadLetters: { interactive: nothing, backfill: nothing },
    lostEnds: nothing,
    givenUpWebhooks: nothing,
    ends: { fail: async () => {}, close: async () => {} },
    telemetry: { log: (event) => void logged.push(event), measure: () => {} },
    now: () => minute * 60_000,
  });
  return { handler, queues, failed, logged, gone, looks: () => looks };
}

test('what waits in a pool without workers is given up, with a reason that says so', async () => {
  const { handler, queues, failed, gone, logged } = prepare({ deserted: ['interactive'] });
  for (const taskToken of ['first', 'cancelled', 'last']) {
    await queues.interactive.send({ ...sampleMessage(), taskToken });
    await queues.backfill.send({ ...sampleMessage(), taskToken: `other ${taskToken}` });
  }
  gone.add('cancelled');

  await handler();

  expect(failed.map(({ taskToken, error }) => [taskToken, error])).toEqual([
    ['first', 'gpu_missing'],
    ['last', 'gpu_missing'],
  ]);
  expect(failed[0]!.cause).toMatch(/no GPU worker has received a request for 30 minutes/);
  expect(await queues.interactive.receive(0, 60)).toBeNull();
  expect(logged).toMatchObject([{ event: 'pool_deserted', pool: 'interactive', givenUp: 2 }]);
});

test('a pool that cannot be looked at does not keep the other from its look', async () => {
  for (const [broken, other] of [POOLS, [...POOLS].reverse()] as [Pool, Pool][]) {
    const { handler, queues, failed } = prepare({ broken: [broken], deserted: [other] });
    await queues[other].send(sampleMessage());

    await expect(handler()).rejects.toThrow(`${broken} cannot be looked at`);

    expect(failed).toHaveLength(1);
  }
});

test('it looks into the queues of what went wrong every tenth minute', async () => {
  const looks = await Promise.all(
    Array.from({ length: 20 }, async (_, minute) => {
      const prepared = prepare({ minute });
      await prepared.handler();
      return prepared.looks();
    }),
  );

  expect(looks.flatMap((count, minute) => (count > 0 ? [minute] : []))).toEqual([0, 10]);
});
