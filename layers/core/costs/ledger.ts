import type { Job, ReplacedWork, UsageRecord } from '../generation.ts';
import { sumRounded } from './sum-rounded.ts';
import { equivalentsOf } from '../planning/equivalents.ts';

/** A usage record, and whether the video owes it anything. */
export interface LedgerLine {
  record: UsageRecord;
  /** False for work that came to nothing: its run was repeated, its attempt failed, its machine was taken away. */
  isUseful: boolean;
}

export type LedgerJob = Pick<Job, 'usage'> & Partial<Pick<Job, 'attempt' | 'status'>>;

/**
 * Which runs of a job were useful.
 *
 * Useful is what the last attempt's steps came to: of each step the run that the end of the job names
 * as its input (`continues`), else its last one, and whatever those went on with. All else is waste,
 * as is everything of a job that failed or was cancelled. A record that was written twice is in the
 * table once; one without a run is the only one of its step and attempt, as older deployments wrote it.
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
    // The end names all that went into it; what it does not name came to nothing, if it has a name.
    const unnamed =
      isNaming && INPUTS.has(step) ? runs.filter(({ run }) => run === undefined) : runs;
    for (const root of chosen.length > 0 ? chosen : latest(unnamed)) {
      for (const record of closure([root], records)) useful.add(record);
    }
  }
  return useful;
}

/** Steps whose results the end of a job is made of. */
const INPUTS: ReadonlySet<UsageRecord['step']> = new Set(['embed', 'lookup', 'generate']);

/** The last of the runs, as a list; none of none. */
function latest(runs: readonly UsageRecord[]): UsageRecord[] {
  return runs.toSorted((one, other) => (one.startedAt ?? 0) - (other.startedAt ?? 0)).slice(-1);
}

/** These records, those that they went on with, those that these went on with, and so on. */
function closure(
  from: readonly UsageRecord[],
  records: readonly UsageRecord[],
): ReadonlySet<UsageRecord> {
  const reached = new Set(from);
  // A set that grows while it is read is read to its new end.
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
 * The GPU's part in a video, of all workers that took part in it; null when none did. Work that was
 * wasted is not in it: making the video again would not waste it again.
 */
export function generationWork(job: LedgerJob): ReplacedWork | null {
  const runs = ledgerOf(job)
    .filter(({ record, isUseful }) => isUseful && record.gpuSeconds !== undefined)
    .map(({ record }) => record);
  if (runs.length === 0) return null;
  const timed = runs.filter(({ networkEvaluations = 0 }) => networkEvaluations > 0);
  return {
    gpuSeconds: sumRounded(runs, ({ gpuSeconds }) => gpuSeconds),
    // Some without it would make the rest of them look fast.
    ...(timed.length > 0 &&
      timed.every(({ denoiseSeconds }) => denoiseSeconds !== undefined) && {
        denoiseSeconds: sumRounded(timed, ({ denoiseSeconds }) => denoiseSeconds),
      }),
    networkEvaluations: sumRounded(runs, equivalentsOf),
  };
}
