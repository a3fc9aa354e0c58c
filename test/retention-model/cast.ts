import { ConditionFailedError } from '#core/errors.ts';
import { DEFAULT_PRICE_REGION, priceBookOf } from '#core/pricing/prices.ts';
import { evict } from '#retention/evict.ts';
import type { EvictSettings } from '#retention/evict-settings.ts';
import { finishEvictions } from '#retention/finish-evictions.ts';
import { sweep } from '#retention/sweep/sweep.ts';
import { removeEntry } from '#ports/remove-entry.ts';
import type { Actor } from './scenario.ts';
import { VECTORS } from './videos.ts';
import type { World } from './world.ts';

/** Everything is of a model that is no longer served. */
const SETTINGS: EvictSettings = {
  book: priceBookOf(DEFAULT_PRICE_REGION),
  dimensions: VECTORS.same.length,
  storageClass: 'INTELLIGENT_TIERING',
  budgetUsd: null,
  movesStorageClasses: false,
  onlyCompatibilityKey: 'another model',
};

/** Runs an eviction pass that finds nothing worth its rent, and finishes evictions. */
export function evictor(name = 'evictor', skew = 0): Actor {
  return {
    name,
    skew,
    isEvictor: true,
    finishesEvictions: true,
    restarts: 2,
    run: async (stores) => void (await evict(stores, SETTINGS, { isForced: true, holder: name })),
  };
}

/** Finishes what leaves, and moves nothing out itself. */
export function finisher(name = 'finisher', skew = 0): Actor {
  return {
    name,
    skew,
    finishesEvictions: true,
    restarts: 2,
    run: async (stores) => void (await finishEvictions(stores)),
  };
}

export function sweeper(name = 'sweeper', skew = 0): Actor {
  return { name, skew, restarts: 1, run: async (stores) => void (await sweep(stores)) };
}

/** As `DELETE /v1/videos/{id}` does with a finished video. */
export function deleter(world: World, videoId: string): Actor {
  return {
    name: 'deleter',
    restarts: 1,
    isReady: () => ['completed', 'failed'].includes(world.job(videoId)!['status']!.S!),
    run: async ({ table, vectors }) => {
      try {
        await removeEntry({ table, vectors }, videoId);
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
        return;
      }
      await table.deleteJob(videoId);
    },
  };
}

export function pinner(entryId: string): Actor {
  return { name: 'pinner', run: async ({ table }) => void (await table.pinEntry(entryId, true)) };
}
