import type { JobResult, UsageRecord } from '../generation.ts';

/**
 * The compute of a record's evaluations, in evaluations of all tokens: what seconds and money go by. An
 * evaluation of some tokens is the share that they are of all.
 */
export function equivalentsOf({
  networkEvaluations = 0,
  evaluationEquivalents = networkEvaluations,
}: Pick<UsageRecord, 'networkEvaluations' | 'evaluationEquivalents'>): number {
  return evaluationEquivalents;
}

/** What the steps of a video took, in evaluations of all tokens. */
export function equivalentsRun(result: Pick<JobResult, 'stepsRun' | 'equivalentsRun'>): number {
  return result.equivalentsRun ?? result.stepsRun;
}

/** To a thousandth, which is what amounts are told in. */
export function roundEquivalents(equivalents: number): number {
  return Math.round(equivalents * 1000) / 1000;
}
