import type { EvictionReason, RetentionRun } from '../retention/retention-run.ts';

export const EVICTION_REASONS: readonly EvictionReason[] = [
  'rent',
  'budget',
  'duplicate',
  'obsolete',
  'latent-missing',
];

/** How many entries passes have let go, and why. What a dry run would have done is not counted. */
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
