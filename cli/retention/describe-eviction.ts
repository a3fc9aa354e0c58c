import type { EvictOutcome } from '#retention/evict.ts';
import { EVICTED_RENT } from '#retention/pass.ts';
import type { EvictionSummary } from '#retention/finish-evictions.ts';
import type { EvictionPassResult } from '#retention/run-eviction-pass.ts';
import { EVICTION_GRACE_MILLISECONDS } from '#core/retention/retention.ts';
import {
  EVICTION_REASONS,
  type RetentionRun,
  type Verdict,
} from '#core/retention/retention-run.ts';
import { dollars, duration, line, size } from './amounts.ts';

const STAYS: readonly Verdict[] = ['keep', 'move', 'pinned', 'leased'];

const WORDS: Readonly<Record<Verdict, string>> = {
  keep: 'save more than they cost',
  move: 'save more than they cost in a cheaper storage class',
  pinned: 'are pinned',
  leased: 'are in use',
  rent: 'cost more than they save',
  budget: 'exceed the budget: they save least per dollar of rent',
  duplicate: 'are duplicates',
  obsolete: 'belong to a model that is no longer served',
  'latent-missing': 'have lost their latent',
};

/** Describes what an eviction pass evaluated, kept and evicted, with reasons; lines without line ends. */
export function describeEviction({ evictionPass, finishing }: EvictOutcome): string[] {
  return [...describeEvictionPass(evictionPass), ...describeFinishing(finishing)];
}

function describeEvictionPass(evictionPass: EvictionPassResult): string[] {
  if (evictionPass.outcome === 'busy')
    return [line('evaluated', 'nothing: another pass is running')];
  if (evictionPass.outcome === 'not-due') {
    return [line('evaluated', `nothing: the next pass is due ${evictionPass.nextAt}`)];
  }
  const { run, rentPerMonthUsd } = evictionPass;
  const { isDryRun, isComplete, counts } = run;
  const unreadable = counts['unreadable'] ?? 0;
  const rent = (amount: number): string => `${dollars(amount)} of rent per month`;
  return [
    line('evaluated', sumOf(run, [...STAYS, ...EVICTION_REASONS])),
    line(isDryRun ? 'would keep' : 'kept', `${sumOf(run, STAYS)}, ${rent(rentPerMonthUsd)}`),
    ...reasons(run, STAYS),
    line(
      isDryRun ? 'would evict' : 'evicted',
      `${sumOf(run, EVICTION_REASONS)}, ${rent(counts[EVICTED_RENT] ?? 0)}`,
    ),
    ...reasons(run, EVICTION_REASONS),
    ...(unreadable === 0 ? [] : [line('skipped', `${unreadable} entries with invalid values`)]),
    ...(isComplete ? [] : [line('stopped', 'before the end: the next pass continues')]),
  ];
}

function describeFinishing(summary: EvictionSummary): string[] {
  const { isDryRun, waiting, latentsDeleted, latentBytesDeleted, recordsDeleted } = summary;
  const grace = duration(EVICTION_GRACE_MILLISECONDS / 1000);
  return [
    ...(waiting === 0
      ? []
      : [line('waiting', `${waiting} entries: a latent is deleted ${grace} after its eviction`)]),
    ...(latentsDeleted === 0
      ? []
      : [
          line(
            isDryRun ? 'would delete' : 'deleted',
            `${latentsDeleted} latents, ${size(latentBytesDeleted)}`,
          ),
        ]),
    ...(recordsDeleted === 0
      ? []
      : [
          line(
            isDryRun ? 'would delete' : 'deleted',
            `${recordsDeleted} records of entries evicted over a day ago`,
          ),
        ]),
  ];
}

function reasons({ verdicts = {} }: RetentionRun, among: readonly Verdict[]): string[] {
  return among.flatMap((verdict) => {
    const count = verdicts[verdict]?.count ?? 0;
    return count === 0 ? [] : [line('', `${count} ${WORDS[verdict]}`)];
  });
}

function sumOf({ verdicts = {} }: RetentionRun, among: readonly Verdict[]): string {
  let [count, bytes] = [0, 0];
  for (const verdict of among) {
    count += verdicts[verdict]?.count ?? 0;
    bytes += verdicts[verdict]?.bytes ?? 0;
  }
  return `${count} entries with ${size(bytes)} of latents`;
}
