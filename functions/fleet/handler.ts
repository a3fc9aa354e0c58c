import type { Fleet } from '#stores/fleet.ts';
import { deployedFleet } from '../deployed-fleet.ts';
import { lazily } from '../services.ts';

/** Brings the workers in line with what waits for them; a schedule calls it. */
export function createFleetHandler(fleet: Pick<Fleet, 'reconcile'>): () => Promise<void> {
  return () => fleet.reconcile();
}

export const handler = lazily(async () => createFleetHandler(deployedFleet()));
