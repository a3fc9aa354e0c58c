import type { JobResult, UsageRecord } from '../generation.ts';

/**
 * Computes a record's compute in evaluations of all tokens, on which seconds and money are based.
 * An evaluation of some tokens counts as their share of all.
 */
export function equivalentsOf({
  networkEvaluations = 0,
  evaluationEquivalents = networkEvaluations,
}: Pick<UsageRecord, 'networkEvaluations' | 'evaluationEquivalents'>): number {
  return evaluationEquivalents;
}

/** Returns the compute of a video's steps, in evaluations of all tokens. */
export function equivalentsRun(result: Pick<JobResult, 'stepsRun' | 'equivalentsRun'>): number {
  return result.equivalentsRun ?? result.stepsRun;
}

/** Rounds to a thousandth, the precision of reported amounts. */
export function roundEquivalents(equivalents: number): number {
  return Math.round(equivalents * 1000) / 1000;
}
