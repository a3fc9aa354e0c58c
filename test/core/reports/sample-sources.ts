import type { Job, UsageRecord } from '#core/generation.ts';
import { bookOn, priceBookOf, type PriceBook } from '#core/pricing/prices.ts';
import { dayOf } from '#core/day.ts';
import type { IdleTail } from '#core/reports/idle-tails.ts';
import type { ReportQuestion, ReportSources } from '#core/reports/report.ts';
import type { RetentionRun } from '#core/retention/retention-run.ts';

/** What a report is made from, in memory. */
export interface SampleSources {
  jobs?: readonly Job[];
  runs?: readonly RetentionRun[];
  tails?: readonly (IdleTail & { day: string })[];
}

export function sourcesOf({ jobs = [], runs = [], tails = [] }: SampleSources): ReportSources {
  return {
    async *jobs(day) {
      yield* jobs.filter(({ createdAt }) => dayOf(createdAt) === day);
    },
    runs: async (day) => runs.filter(({ startedAt }) => dayOf(startedAt) === day),
    idleTails: async (day) => tails.filter((tail) => tail.day === day),
  };
}

export function questionOf(
  changes: Partial<ReportQuestion> & Pick<ReportQuestion, 'range'>,
): ReportQuestion {
  const book: PriceBook = changes.book ?? priceBookOf('us-east-1');
  return {
    by: 'day',
    tenant: null,
    book,
    bookOf: (day) => bookOn(book, day),
    now: Date.parse('2027-01-01'),
    ...changes,
  };
}

/** So many GPU seconds of a machine that was billed. */
export function worked(gpuSeconds: number, changes: Partial<UsageRecord> = {}): UsageRecord {
  return {
    step: 'generate',
    run: 'run',
    startedAt: 1,
    gpuSeconds,
    denoiseSeconds: gpuSeconds,
    networkEvaluations: 10,
    instanceType: 'g6.xlarge',
    purchaseOption: 'on-demand',
    ...changes,
  };
}

/** A pass that ended with this. */
export function measured(
  endedAt: string,
  holdings: Partial<NonNullable<RetentionRun['holdings']>>,
  changes: Partial<RetentionRun> = {},
): RetentionRun {
  return {
    runId: endedAt,
    kind: 'evict',
    startedAt: endedAt,
    endedAt,
    isDryRun: false,
    isComplete: true,
    holdings: {
      entries: 1,
      latents: {},
      monitoredLatents: 0,
      videoBytes: 0,
      vectorBytes: 0,
      itemBytes: 0,
      ...holdings,
    },
    counts: {},
    ...changes,
  };
}
