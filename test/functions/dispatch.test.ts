import { expect, it } from 'vitest';
import { POOLS, type Pool } from '#core/generation.ts';
import { createDispatchHandler } from '#functions/dispatch/handler.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import type { Table } from '#ports/table.ts';
import { EmbeddedQueue } from '#local/embedded-queue.ts';
import { sampleMessage, sampleRequest } from '../aws/samples.ts';
import { submit, tableWith, useTable } from './fixture.ts';

const table = useTable();

function dispatcher(
  wake: (pool: Pool) => Promise<void> = async () => {},
  jobs: Pick<Table, 'getJob' | 'recordUsage' | 'enterQueue'> = table(),
) {
  const queues = { interactive: new EmbeddedQueue(), backfill: new EmbeddedQueue() };
  const woken: Pool[] = [];
  const logged: TelemetryEvent[] = [];
  const dispatch = createDispatchHandler({
    table: jobs,
    queues,
    fleet: {
      wake: async (pool) => {
        woken.push(pool);
        await wake(pool);
      },
    },
    telemetry: { log: (event) => logged.push(event) },
  });
  return { queues, woken, logged, dispatch };
}

it.each(POOLS)('queues a request of pool %s there and wakes that pool alone', async (pool) => {
  // Prepare
  const { queues, woken, dispatch } = dispatcher();
  const { sentAt: _, ...message } = sampleMessage({ request: sampleRequest({ pool }) });

  // Act
  await dispatch(message);

  // Assess
  const received = await queues[pool].receive(0, 60);
  expect(received!.message).toEqual({ ...message, sentAt: expect.any(Number) });
  const [other] = POOLS.filter((candidate) => candidate !== pool);
  expect(await queues[other!].receive(0, 60)).toBeNull();
  expect(woken).toEqual([pool]);
});

it('leaves a message queued whose workers could not be woken, and says so', async () => {
  // Prepare
  const { queues, logged, dispatch } = dispatcher(() => Promise.reject(new Error('no quota')));
  const message = sampleMessage();

  // Act
  await dispatch(message);

  // Assess
  expect(await queues.interactive.receive(0, 60)).not.toBeNull();
  expect(logged).toMatchObject([
    { level: 'warn', event: 'wake_failed', videoId: message.request.videoId, pool: 'interactive' },
  ]);
});

it('wakes nobody for what could not be queued, and fails by the name that is retried', async () => {
  // Prepare
  const { queues, woken, dispatch } = dispatcher();
  queues.interactive.send = () => Promise.reject(new Error('down'));

  // Act
  const dispatching = dispatch(sampleMessage());

  // Assess
  await expect(dispatching).rejects.toThrow('down');
  expect(woken).toEqual([]);
});

it('enters what it took into the ledger of the attempt', async () => {
  // Prepare
  const request = await submit(table());
  await table().failJob(request.videoId, { code: 'internal', message: 'no' }, false);
  await table().resubmitJob(request.videoId);
  const { dispatch } = dispatcher();

  // Act
  await dispatch(sampleMessage({ request }));

  // Assess
  const { usage } = (await table().getJob(request.videoId))!;
  expect(usage).toEqual([
    {
      step: 'dispatch',
      attempt: 2,
      run: expect.stringMatching(/^[0-9a-f]{12}$/),
      startedAt: expect.any(Number),
      lambdaMilliseconds: expect.any(Number),
      // The job was read, its place in the queue written, the message sent.
      tableReadUnits: 1,
      tableWriteUnits: 1,
      queueRequests: 1,
      stateTransitions: 1,
    },
  ]);
});

it('queues a request whose ledger cannot be reached, and says that it is short', async () => {
  // Prepare
  const down = tableWith(table(), { getJob: () => Promise.reject(new Error('down')) });
  const { queues, logged, dispatch } = dispatcher(undefined, down);

  // Act
  await dispatch(sampleMessage());

  // Assess
  expect(await queues.interactive.receive(0, 60)).not.toBeNull();
  expect(logged).toMatchObject([{ level: 'warn', event: 'usage_not_recorded' }]);
});
