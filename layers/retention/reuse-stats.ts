import type { ReuseStats } from '#core/retention/reuse-stats.ts';
import { entryBytes } from '#core/costs/entry-rent.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import type { CacheStats } from './cache-stats.ts';
import type { EvictSettings } from './evict-settings.ts';

/** Builds the policy's view of an entry. */
export function reuseStatsOf(
  entry: EvictionCandidate,
  { dimensions, storageClass }: Pick<EvictSettings, 'dimensions' | 'storageClass'>,
  cacheStats: Pick<CacheStats, 'secondsPerEvaluation'>,
): ReuseStats {
  const { lastHitAt, previousHitAt } = entry;
  return {
    createdAt: Date.parse(entry.createdAt),
    lastHitAt: lastHitAt === undefined ? null : Date.parse(lastHitAt),
    previousHitAt: previousHitAt === undefined ? null : Date.parse(previousHitAt),
    hits: entry.hits,
    decayedHits: entry.decayedHits ?? 0,
    decayedCredit: entry.decayedCredit ?? 0,
    neighbours: entry.neighbours ?? 0,
    reuseDepth: entry.reuseDepth,
    stepsRun: entry.stepsRun,
    secondsPerEvaluation: cacheStats.secondsPerEvaluation(entry.compatibility),
    latentBytes: entry.latentBytes,
    storageClass: entry.storageClass ?? storageClass,
    ...entryBytes(dimensions, entry.vectors),
    isPinned: entry.pinnedAt !== undefined,
  };
}
