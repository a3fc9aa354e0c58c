import type { Job, ReplacedWork, UsageRecord } from '../generation.ts';
import { sumRounded } from './sum-rounded.ts';
import { equivalentsOf } from '../planning/equivalents.ts';

/** A usage record, classified as useful or wasted. */
export interface LedgerLine {
  record: UsageRecord;
  /** False for waste: a repeated run, a failed attempt, an interrupted machine. */
  isUseful: boolean;
}

export type LedgerJob = Pick<Job, 'usage'> & Partial<Pick<Job, 'attempt' | 'status'>>;

/**
 * Classifies the usage records of a job.
 *
 * Useful are the runs of the last attempt that contributed to its result: for each step the run that the end
 * of the job names as its input (`continues`), else the last run, and all runs that those continued. Everything
 * else is waste, as are all records of a failed or canceled job. A record that was written twice is in the table
 * once; a record without a run is the only one of its step and attempt, as written by older deployments.
 *
 * @example
 * const wasted = ledgerOf(job).filter(({ isUseful }) => !isUseful);
 */
export function ledgerOf(job: LedgerJob): LedgerLine[] {
  const { usage } = job;
  const useful = usefulRecords(job);
  return usage.map((record) => ({ record, isUseful: useful.has(record) }));
}

function usefulRecords({ usage, attempt, status }: LedgerJob): ReadonlySet<UsageRecord> {
  if (status === 'failed' || status === 'cancelled') return new Set();
  const last = Math.max(attempt ?? 1, ...usage.map(attemptOf));
  const records = usage.filter((record) => attemptOf(record) === last);
  const byStep = Map.groupBy(records, ({ step }) => step);
  const ends = latest(byStep.get('commit') ?? []);
  const named = closure(ends, records);
  const isNaming = ends.some(({ continues = [] }) => continues.length > 0);
  const useful = new Set<UsageRecord>();
  for (const [step, runs] of byStep) {
    const chosen = runs.filter((record) => named.has(record));
    // The end names all its inputs, so other runs with an id are waste.
    const unnamed =
      isNaming && INPUTS.has(step) ? runs.filter(({ run }) => run === undefined) : runs;
    for (const root of chosen.length > 0 ? chosen : latest(unnamed)) {
      for (const record of closure([root], records)) useful.add(record);
    }
  }
  return useful;
}

/** Steps whose results are inputs of the end of a job. */
const INPUTS: ReadonlySet<UsageRecord['step']> = new Set(['embed', 'lookup', 'generate']);

/** Returns a list with the last run; empty if there are no runs. */
function latest(runs: readonly UsageRecord[]): UsageRecord[] {
  return runs.toSorted((one, other) => (one.startedAt ?? 0) - (other.startedAt ?? 0)).slice(-1);
}

/** Returns the records and, transitively, all records that they continued. */
function closure(
  from: readonly UsageRecord[],
  records: readonly UsageRecord[],
): ReadonlySet<UsageRecord> {
  const reached = new Set(from);
  // Iteration over a Set includes elements added meanwhile.
  for (const { continues = [] } of reached) {
    for (const record of records) {
      if (record.run !== undefined && continues.includes(record.run)) reached.add(record);
    }
  }
  return reached;
}

function attemptOf({ attempt = 1 }: UsageRecord): number {
  return attempt;
}

/**
 * Sums the useful GPU work of all workers of a video; null if there was none. Excludes waste, because
 * regenerating the video would not repeat it.
 */
export function generationWork(job: LedgerJob): ReplacedWork | null {
  const runs = ledgerOf(job)
    .filter(({ record, isUseful }) => isUseful && record.gpuSeconds !== undefined)
    .map(({ record }) => record);
  if (runs.length === 0) return null;
  const timed = runs.filter(({ networkEvaluations = 0 }) => networkEvaluations > 0);
  return {
    gpuSeconds: sumRounded(runs, ({ gpuSeconds }) => gpuSeconds),
    // A partial sum would underestimate the time.
    ...(timed.length > 0 &&
      timed.every(({ denoiseSeconds }) => denoiseSeconds !== undefined) && {
        denoiseSeconds: sumRounded(timed, ({ denoiseSeconds }) => denoiseSeconds),
      }),
    networkEvaluations: sumRounded(runs, equivalentsOf),
  };
}
