import type { EntryState } from '#core/policy/entry-state.ts';
import { entryBytes } from '#core/entry-rent.ts';
import type { WeighedEntry } from '#core/weighed-entry.ts';
import type { Census } from './census.ts';
import type { EvictSettings } from './evict-settings.ts';

/** What the policy is told of an entry. */
export function entryStateOf(
  entry: WeighedEntry,
  { dimensions, storageClass }: Pick<EvictSettings, 'dimensions' | 'storageClass'>,
  census: Pick<Census, 'secondsPerEvaluation'>,
): EntryState {
  const { lastHitAt, previousHitAt } = entry;
  return {
    createdAt: Date.parse(entry.createdAt),
    lastHitAt: lastHitAt === undefined ? null : Date.parse(lastHitAt),
    previousHitAt: previousHitAt === undefined ? null : Date.parse(previousHitAt),
    hits: entry.hits,
    decayedHits: entry.decayedHits ?? 0,
    decayedCredit: entry.decayedCredit ?? 0,
    neighbours: entry.neighbours ?? 0,
    generation: entry.generation,
    stepsRun: entry.stepsRun,
    secondsPerEvaluation: census.secondsPerEvaluation(entry.compatibility),
    latentBytes: entry.latentBytes,
    storageClass: entry.storageClass ?? storageClass,
    ...entryBytes(dimensions, entry.vectors),
    isPinned: entry.pinnedAt !== undefined,
  };
}
