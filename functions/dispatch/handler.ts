import type { Pool } from '#core/generation.ts';
import type { Fleet } from '#ports/fleet.ts';
import type { GenerateMessage, WorkQueue } from '#ports/queue.ts';
import type { Table } from '#ports/table.ts';
import { deployedFleet, deployedQueues } from '../shared/deployed-fleet.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import { deployedTable, lazily } from '../shared/services.ts';
import { StepMeter } from '../shared/step-meter.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { observed, type Telemetry } from '../shared/telemetry.ts';

export interface DispatchServices {
  table: Pick<Table, 'getJob' | 'recordUsage' | 'enterQueue'>;
  queues: Readonly<Record<Pool, Pick<WorkQueue, 'send'>>>;
  fleet: Pick<Fleet, 'wake'>;
  telemetry: Pick<Telemetry, 'log'>;
}

/** What the state hands over: the message but for its time. */
export type DispatchInput = Omit<GenerateMessage, 'sentAt'>;

/**
 * Hands a request to the workers of its pool and sees to it that there are some. The state waits on
 * the token, which a worker answers.
 */
export function createDispatchHandler(
  services: DispatchServices,
): (input: DispatchInput) => Promise<void> {
  const { table, queues, fleet, telemetry } = services;
  return withTaskErrors((input) => {
    const { videoId, pool } = input.request;
    return StepMeter.run('dispatch', services, videoId, async (meter) => {
      try {
        meter.attempt = (await table.getJob(videoId))?.attempt ?? null;
      } catch (error) {
        // Without the attempt nothing is entered: a request that cannot be booked is dispatched all the same.
        telemetry.log({ level: 'warn', event: 'usage_not_recorded', videoId, error });
      }
      try {
        // Before the message: whoever takes that at once takes the job out of the queue again.
        await table.enterQueue(pool, videoId);
      } catch (error) {
        // The place in the queue is told to people; no video depends on it.
        telemetry.log({ level: 'warn', event: 'place_not_recorded', videoId, pool, error });
      }
      await queues[pool].send({ ...input, sentAt: Date.now() });
      try {
        await fleet.wake(pool);
      } catch (error) {
        // The message waits in its queue; the scheduled look at the queues finds it.
        telemetry.log({ level: 'warn', event: 'wake_failed', videoId, pool, error });
      }
      await meter.enter();
    });
  });
}

export const handler = lazily(async () => {
  const telemetry = deployedTelemetry();
  return observed(
    'dispatch',
    telemetry,
    createDispatchHandler({
      table: deployedTable(),
      queues: deployedQueues(),
      fleet: deployedFleet(),
      telemetry,
    }),
  );
});
