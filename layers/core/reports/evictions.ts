import type { EvictionReason, RetentionRun } from '../retention/retention-run.ts';

export const EVICTION_REASONS: readonly EvictionReason[] = [
  'rent',
  'budget',
  'duplicate',
  'obsolete',
  'latent-missing',
];

/** Counts evicted entries by reason, without dry runs. */
export function evictionsOf(runs: readonly RetentionRun[]): Map<EvictionReason, number> {
  const evictions = new Map<EvictionReason, number>();
  for (const { isDryRun, verdicts = {} } of runs) {
    if (isDryRun) continue;
    for (const reason of EVICTION_REASONS) {
      const count = verdicts[reason]?.count ?? 0;
      if (count > 0) evictions.set(reason, (evictions.get(reason) ?? 0) + count);
    }
  }
  return evictions;
}
