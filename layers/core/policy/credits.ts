import type { Plan } from '../generation.ts';
import { LOOKUP_PARTS } from '../generation.ts';
import { makePlan, MAX_GENERATION, type Candidate, type PlanInput } from '../plan.ts';

/**
 * What each donor of a plan is worth to its request, in network evaluations: how many more would be
 * run without it, by the next best donors (similarity caching: Garetto, Leonardi, Neglia, INFOCOM
 * 2020). A donor whose equal is at hand is worth nothing. The entry of an exact hit is worth what
 * the next best plan would run.
 *
 * @param plan that `makePlan(input)` gave
 * @returns by entry id; empty for a miss.
 */
export function creditsOf(input: PlanInput, plan: Plan): Map<string, number> {
  const credits = new Map<string, number>();
  const donors = new Set(plan.donors.map(({ entryId }) => entryId));
  if (plan.exactVideoId !== null) donors.add(plan.exactVideoId);
  for (const entryId of donors) {
    credits.set(entryId, Math.max(0, makePlan(without(input, entryId)).steps - plan.steps));
  }
  return credits;
}

/** Entries that could be donors of a request: how busy the neighbourhood is that its video joins. */
export function neighboursOf({ candidates, calibration }: PlanInput): number {
  const found = new Set<string>();
  for (const part of LOOKUP_PARTS) {
    for (const { entryId, similarity, generation } of candidates[part]) {
      if (generation >= MAX_GENERATION || found.has(entryId)) continue;
      if (calibration.decide(part, similarity, Infinity) !== null) found.add(entryId);
    }
  }
  return found.size;
}

function without(input: PlanInput, entryId: string): PlanInput {
  const rest = (candidates: readonly Candidate[]): Candidate[] =>
    candidates.filter((candidate) => candidate.entryId !== entryId);
  const { whole, object, background } = input.candidates;
  return {
    ...input,
    exactVideoId: input.exactVideoId === entryId ? null : input.exactVideoId,
    candidates: { whole: rest(whole), object: rest(object), background: rest(background) },
    remix: input.remix?.entryId === entryId ? null : (input.remix ?? null),
  };
}
