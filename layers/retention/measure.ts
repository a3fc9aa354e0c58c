import { estimateValue, type PolicyContext } from '#core/retention/estimate-value.ts';
import { InvalidInputError } from '#core/errors.ts';
import { decayWeight } from '#core/retention/decay.ts';
import { refuseImpossibleEntry, type ReuseStats } from '#core/retention/reuse-stats.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import { reuseStatsOf } from './reuse-stats.ts';
import type { EvictSettings } from './evict-settings.ts';
import type { Pass, EvaluatedEntry } from './pass.ts';

/** Learns from new hits of entries, and collects the statistics over all of them. */
export function measure(
  entries: readonly EvictionCandidate[],
  pass: Pass,
  settings: EvictSettings,
): void {
  const { cacheStats, model, since, startedAt } = pass;
  for (const entry of entries) {
    const state = reuseStatsOf(entry, settings, cacheStats);
    if (!isPossible(state)) continue;
    cacheStats.add(entry, state.createdAt, since, startedAt);
    // The next pass sees everything that happens during this one.
    if (Math.max(state.createdAt, state.lastHitAt ?? 0) > startedAt) continue;
    model.observe(state, since, startedAt);
  }
}

/** Evaluates an entry; null if its record has invalid values. */
export function evaluate(
  entry: EvictionCandidate,
  pass: Pick<Pass, 'cacheStats'>,
  settings: EvictSettings,
  context: PolicyContext,
): EvaluatedEntry | null {
  const state = reuseStatsOf(entry, settings, pass.cacheStats);
  return isPossible(state) ? { entry, state, estimate: estimateValue(state, context) } : null;
}

function isPossible(state: ReuseStats): boolean {
  try {
    refuseImpossibleEntry(state);
    decayWeight(state.createdAt);
    return true;
  } catch (error) {
    if (error instanceof InvalidInputError) return false;
    throw error;
  }
}

/** Adds the rents of entries that pay to the histogram; pinned entries rank above all. */
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
