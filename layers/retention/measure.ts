import { estimateValue, type PolicyContext } from '#core/retention/estimate-value.ts';
import { InvalidInputError } from '#core/errors.ts';
import { decayWeight } from '#core/retention/decay.ts';
import { refuseImpossibleEntry, type EntryState } from '#core/retention/entry-state.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import { entryStateOf } from './entry-state.ts';
import type { EvictSettings } from './evict-settings.ts';
import type { Pass, EvaluatedEntry } from './pass.ts';

/** Learns from entries when they are hit again, and counts what all of them are reckoned with. */
export function measure(
  entries: readonly EvictionCandidate[],
  pass: Pass,
  settings: EvictSettings,
): void {
  const { cacheStats, model, since, startedAt } = pass;
  for (const entry of entries) {
    const state = entryStateOf(entry, settings, cacheStats);
    if (!isPossible(state)) continue;
    cacheStats.add(entry, state.createdAt, since, startedAt);
    // What happens while a pass is under way is seen by the next one, whole.
    if (Math.max(state.createdAt, state.lastHitAt ?? 0) > startedAt) continue;
    model.observe(state, since, startedAt);
  }
}

/** Null for an entry whose record cannot be: no policy can say anything of it. */
export function evaluate(
  entry: EvictionCandidate,
  pass: Pick<Pass, 'cacheStats'>,
  settings: EvictSettings,
  context: PolicyContext,
): EvaluatedEntry | null {
  const state = entryStateOf(entry, settings, pass.cacheStats);
  return isPossible(state) ? { entry, state, estimate: estimateValue(state, context) } : null;
}

function isPossible(state: EntryState): boolean {
  try {
    refuseImpossibleEntry(state);
    decayWeight(state.createdAt);
    return true;
  } catch (error) {
    if (error instanceof InvalidInputError) return false;
    throw error;
  }
}

/** Sums the rents of what pays, by what they buy; what is pinned comes first of all. */
export function rank(
  entries: readonly EvictionCandidate[],
  pass: Pass,
  settings: EvictSettings,
  context: PolicyContext,
): void {
  for (const entry of entries) {
    const estimate = evaluate(entry, pass, settings, context)?.estimate;
    if (estimate === undefined || estimate.verdict === 'rent') continue;
    const density = estimate.verdict === 'pinned' ? Infinity : estimate.density;
    pass.densities!.add(density, estimate.rentPerMonth);
  }
}
