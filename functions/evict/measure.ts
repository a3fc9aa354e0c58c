import { appraise, type PolicyContext } from '#core/policy/appraise.ts';
import { InvalidInputError } from '#core/errors.ts';
import { decayWeight } from '#core/policy/decay.ts';
import { refuseImpossibleEntry, type EntryState } from '#core/policy/entry-state.ts';
import type { WeighedEntry } from '#core/weighed-entry.ts';
import { entryStateOf } from './entry-state.ts';
import type { EvictSettings } from './evict-settings.ts';
import type { Pass, Weighed } from './pass.ts';

/** Learns from entries when they are hit again, and counts what all of them are reckoned with. */
export function measure(
  entries: readonly WeighedEntry[],
  pass: Pass,
  settings: EvictSettings,
): void {
  const { census, model, since, startedAt } = pass;
  for (const entry of entries) {
    const state = entryStateOf(entry, settings, census);
    if (!isPossible(state)) continue;
    census.add(entry, state.createdAt, since, startedAt);
    // What happens while a pass is under way is seen by the next one, whole.
    if (Math.max(state.createdAt, state.lastHitAt ?? 0) > startedAt) continue;
    model.observe(state, since, startedAt);
  }
}

/** Null for an entry whose record cannot be: no policy can say anything of it. */
export function weigh(
  entry: WeighedEntry,
  pass: Pick<Pass, 'census'>,
  settings: EvictSettings,
  context: PolicyContext,
): Weighed | null {
  const state = entryStateOf(entry, settings, pass.census);
  return isPossible(state) ? { entry, state, appraisal: appraise(state, context) } : null;
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
  entries: readonly WeighedEntry[],
  pass: Pass,
  settings: EvictSettings,
  context: PolicyContext,
): void {
  for (const entry of entries) {
    const appraisal = weigh(entry, pass, settings, context)?.appraisal;
    if (appraisal === undefined || appraisal.verdict === 'rent') continue;
    const density = appraisal.verdict === 'pinned' ? Infinity : appraisal.density;
    pass.densities!.add(density, appraisal.rentPerMonth);
  }
}
