import { POOLS, type Pool } from '#core/generation.ts';
import type { Fleet } from '#ports/fleet.ts';
import { SqsDeadLetterQueue } from '#aws/dead-letter-queue.ts';
import { SfnTaskCallbacks } from '#aws/sfn-workflow.ts';
import { eventCaller } from '../shared/call-function.ts';
import { deployedFleet, deployedQueues } from '../shared/deployed-fleet.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import { lazily, variable } from '../shared/services.ts';
import type { Telemetry } from '../shared/telemetry.ts';
import { drainDeadLetters, type DeadLetterServices } from './drain-dead-letters.ts';
import { giveUp, type GiveUpServices } from './give-up.ts';

export interface FleetServices extends GiveUpServices, DeadLetterServices {
  fleet: Pick<Fleet, 'reconcile'>;
  telemetry: Pick<Telemetry, 'log' | 'measure'>;
  /** Epoch milliseconds. */
  now?: () => number;
}

/** Polls cost money, and dead letters, which are hours old, are not urgent. */
const DRAIN_MINUTES = 10;

/**
 * Scales the workers to the queues, fails requests of pools without workers, and drains the dead-letter queues
 * every `DRAIN_MINUTES`. A schedule calls it every minute. One failure does not stop the other tasks.
 */
export function createFleetHandler(services: FleetServices): () => Promise<void> {
  const { now = Date.now } = services;
  const look = async (pool: Pool): Promise<void> => {
    const { isDeserted } = await services.fleet.reconcile(pool);
    if (!isDeserted) return;
    const givenUp = await giveUp(services, pool);
    services.telemetry.log({ level: 'error', event: 'pool_deserted', pool, givenUp });
  };
  return async () => {
    const isDrainTime = Math.floor(now() / 60_000) % DRAIN_MINUTES === 0;
    const looks = await Promise.allSettled([
      ...POOLS.map(look),
      ...(isDrainTime ? [drainDeadLetters(services)] : []),
    ]);
    for (const result of looks) if (result.status === 'rejected') throw result.reason;
  };
}

function deadLetterQueue(name: string): SqsDeadLetterQueue {
  return new SqsDeadLetterQueue({ queueUrl: variable(name) });
}

export const handler = lazily(async () =>
  createFleetHandler({
    fleet: deployedFleet(),
    queues: deployedQueues(),
    callbacks: new SfnTaskCallbacks(),
    deadLetters: {
      interactive: deadLetterQueue(ENVIRONMENT.interactiveDeadLettersUrl),
      backfill: deadLetterQueue(ENVIRONMENT.backfillDeadLettersUrl),
    },
    lostEnds: deadLetterQueue(ENVIRONMENT.lostEndsUrl),
    givenUpWebhooks: deadLetterQueue(ENVIRONMENT.givenUpWebhooksUrl),
    ends: {
      fail: eventCaller(variable(ENVIRONMENT.failFunction)),
      close: eventCaller(variable(ENVIRONMENT.closeFunction)),
    },
    telemetry: deployedTelemetry(),
  }),
);
