import type { Plan } from '../generation.ts';
import { worthAsDonor } from '../planning/donor-worth.ts';
import { LOOKUP_PARTS } from '../generation.ts';
import {
  isDonor,
  isNearDonor,
  makePlan,
  type Candidate,
  type PlanInput,
} from '../planning/plan.ts';

/**
 * Computes what each donor of a plan saves its request, in network evaluations: how many more the
 * next best donors would run without it (marginal gain of similarity caching: Garetto, Leonardi,
 * Neglia, INFOCOM 2020). A donor with an available equal saves nothing. The savings are reduced by
 * what the result loses as a donor if it is further from a full generation than the next best
 * plan's. The entry of an exact hit saves what the next best plan would run.
 *
 * @param plan result of `makePlan(input)`
 * @returns credits by entry id; empty for a miss
 */
export function creditsOf(input: PlanInput, plan: Plan): Map<string, number> {
  const credits = new Map<string, number>();
  const donors = new Set(plan.donors.map(({ entryId }) => entryId));
  if (plan.exactVideoId !== null) donors.add(plan.exactVideoId);
  for (const entryId of donors) {
    const nextBest = makePlan(without(input, entryId));
    const saved =
      plan.hit === 'exact' ? nextBest.equivalents : costOf(input, nextBest) - costOf(input, plan);
    credits.set(entryId, Math.max(0, saved));
  }
  return credits;
}

/** Computes the evaluations of a plan minus its result's worth as a donor. */
function costOf(input: PlanInput, plan: Plan): number {
  const { maxReuseDepth } = input.calibration;
  return (
    plan.equivalents - worthAsDonor(reuseDepthAfter(input, plan), maxReuseDepth, plan.fullSteps)
  );
}

/** Computes the reuse depth of a plan's resulting entry: 0 for a full generation. */
function reuseDepthAfter({ candidates, remix }: PlanInput, { hit, donors }: Plan): number {
  const depths = donors.map(({ entryId, part }) => {
    const proposed = [...candidates[part], ...(hit === 'near' ? (candidates.near ?? []) : [])];
    const candidate = proposed.find((other) => other.entryId === entryId);
    return (candidate ?? remix)?.reuseDepth ?? 0;
  });
  return depths.length === 0 ? 0 : 1 + Math.max(...depths);
}

/**
 * Counts the entries that could be donors of a request: the density of the neighborhood that its
 * video joins.
 */
export function neighboursOf(input: PlanInput): number {
  const found = new Set<string>();
  for (const part of LOOKUP_PARTS) {
    for (const candidate of input.candidates[part]) {
      if (!found.has(candidate.entryId) && isDonor(candidate, part, input)) {
        found.add(candidate.entryId);
      }
    }
  }
  for (const candidate of [...input.candidates.whole, ...(input.candidates.near ?? [])]) {
    if (isNearDonor(candidate, input)) found.add(candidate.entryId);
  }
  return found.size;
}

function without(input: PlanInput, entryId: string): PlanInput {
  const rest = (candidates: readonly Candidate[]): Candidate[] =>
    candidates.filter((candidate) => candidate.entryId !== entryId);
  const { whole, object, background, near = [] } = input.candidates;
  return {
    ...input,
    exactVideoId: input.exactVideoId === entryId ? null : input.exactVideoId,
    candidates: {
      whole: rest(whole),
      object: rest(object),
      background: rest(background),
      near: rest(near),
    },
    remix: input.remix?.entryId === entryId ? null : (input.remix ?? null),
  };
}
