import { POOLS, type Pool } from '#core/generation.ts';
import type { Fleet } from '#stores/fleet.ts';
import { SfnTaskCallbacks } from '#stores/sfn-workflow.ts';
import { deployedFleet, deployedQueues } from '../deployed-fleet.ts';
import { deployedTelemetry } from '../deployed-telemetry.ts';
import { lazily } from '../services.ts';
import type { Telemetry } from '../telemetry.ts';
import { giveUp, type GiveUpServices } from './give-up.ts';

export interface FleetServices extends GiveUpServices {
  fleet: Pick<Fleet, 'reconcile'>;
  telemetry: Pick<Telemetry, 'log'>;
}

/**
 * Brings the workers in line with what waits for them, and gives up what nobody takes; a schedule
 * calls it. Looks at both pools, even when one of them cannot be looked at.
 */
export function createFleetHandler(services: FleetServices): () => Promise<void> {
  const look = async (pool: Pool): Promise<void> => {
    const { isDeserted } = await services.fleet.reconcile(pool);
    if (!isDeserted) return;
    const givenUp = await giveUp(services, pool);
    services.telemetry.log({ level: 'error', event: 'pool_deserted', pool, givenUp });
  };
  return async () => {
    const looks = await Promise.allSettled(POOLS.map(look));
    for (const result of looks) if (result.status === 'rejected') throw result.reason;
  };
}

export const handler = lazily(async () =>
  createFleetHandler({
    fleet: deployedFleet(),
    queues: deployedQueues(),
    callbacks: new SfnTaskCallbacks(),
    telemetry: deployedTelemetry(),
  }),
);
