import { expect, test } from 'vitest';
import { POOLS, type Pool } from '#core/generation.ts';
import { createFleetHandler } from '#functions/fleet/handler.ts';
import type { TelemetryEvent } from '#functions/telemetry.ts';
import { EmbeddedQueue } from '#local/embedded-queue.ts';
import { TaskGoneError } from '#stores/errors.ts';
import { sampleMessage } from '../stores/samples.ts';

function prepare({ deserted = [] as Pool[], broken = [] as Pool[] } = {}) {
  const queues = { interactive: new EmbeddedQueue(), backfill: new EmbeddedQueue() };
  const failed: { taskToken: string; error: string; cause: string }[] = [];
  const logged: TelemetryEvent[] = [];
  const gone = new Set<string>();
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
    telemetry: { log: (event) => void logged.push(event) },
  });
  return { handler, queues, failed, logged, gone };
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
  expect(failed[0]!.cause).toMatch(/no GPU worker has taken up a request for 30 minutes/);
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
