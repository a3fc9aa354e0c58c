import { POOLS, type Pool } from '#core/generation.ts';
import type { Fleet } from '#stores/fleet.ts';
import { SqsLetterBox } from '#stores/letter-box.ts';
import { SfnTaskCallbacks } from '#stores/sfn-workflow.ts';
import { eventCaller } from '../call-function.ts';
import { deployedFleet, deployedQueues } from '../deployed-fleet.ts';
import { deployedTelemetry } from '../deployed-telemetry.ts';
import { ENVIRONMENT } from '../environment.ts';
import { lazily, variable } from '../services.ts';
import type { Telemetry } from '../telemetry.ts';
import { emptyLetterBoxes, type LetterBoxServices } from './empty-letter-boxes.ts';
import { giveUp, type GiveUpServices } from './give-up.ts';

export interface FleetServices extends GiveUpServices, LetterBoxServices {
  fleet: Pick<Fleet, 'reconcile'>;
  telemetry: Pick<Telemetry, 'log' | 'measure'>;
  /** Epoch milliseconds. */
  now?: () => number;
}

/** Each look is paid for, and nobody waits for a letter that took hours to get there. */
const LETTER_BOX_MINUTES = 10;

/**
 * Brings the workers in line with what waits for them, gives up what nobody takes, and now and then
 * deals with what went wrong; a schedule calls it every minute. Looks at everything, even when
 * something cannot be looked at.
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
    const isLetterTime = Math.floor(now() / 60_000) % LETTER_BOX_MINUTES === 0;
    const looks = await Promise.allSettled([
      ...POOLS.map(look),
      ...(isLetterTime ? [emptyLetterBoxes(services)] : []),
    ]);
    for (const result of looks) if (result.status === 'rejected') throw result.reason;
  };
}

function letterBox(name: string): SqsLetterBox {
  return new SqsLetterBox({ queueUrl: variable(name) });
}

export const handler = lazily(async () =>
  createFleetHandler({
    fleet: deployedFleet(),
    queues: deployedQueues(),
    callbacks: new SfnTaskCallbacks(),
    deadLetters: {
      interactive: letterBox(ENVIRONMENT.interactiveDeadLettersUrl),
      backfill: letterBox(ENVIRONMENT.backfillDeadLettersUrl),
    },
    lostEnds: letterBox(ENVIRONMENT.lostEndsUrl),
    givenUpWebhooks: letterBox(ENVIRONMENT.givenUpWebhooksUrl),
    ends: {
      fail: eventCaller(variable(ENVIRONMENT.failFunction)),
      close: eventCaller(variable(ENVIRONMENT.closeFunction)),
    },
    telemetry: deployedTelemetry(),
  }),
);
