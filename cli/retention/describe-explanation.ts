import type { EntryNumbers, Explanation } from '#retention/explanation.ts';
import { dollars, duration, line, rounded } from './amounts.ts';

const VERDICTS: Readonly<Record<Explanation['verdict'], string>> = {
  keep: 'is kept',
  pinned: 'is kept: it is pinned',
  leased: 'is kept while a request uses it',
  move: 'is kept, in another storage class',
  rent: 'is evicted: it costs more than it saves',
  budget: 'is evicted: other entries save more within the budget',
  duplicate: 'is evicted: it duplicates another entry',
  obsolete: 'is evicted: its model is no longer served',
  'latent-missing': 'is evicted: its latent is missing',
  superseded: 'is evicted: its video was regenerated',
  gone: 'is not in the cache',
};

/** Describes a verdict and its numbers; lines without line ends. */
export function describeExplanation(explanation: Explanation): string[] {
  const { entryId, state, verdict, because, numbers, left, job } = explanation;
  return [
    `${entryId} ${state === 'READY' || state === 'none' ? VERDICTS[verdict] : 'is being evicted'}`,
    ...because.map((reason) => line('because', `${reason}`)),
    ...(numbers === undefined ? [] : describeNumbers(numbers)),
    ...describeChange(explanation),
    ...(left?.at === undefined ? [] : [line('left', `${left.at}`)]),
    ...(left?.latentGoneAt === undefined
      ? []
      : [line('latent', `is deleted after ${left.latentGoneAt}`)]),
    ...(left?.recordGoneAt === undefined
      ? []
      : [line('record', `is deleted after ${left.recordGoneAt}`)]),
    ...(job === undefined ? [] : [line('video', `${job.status}, requested ${job.createdAt}`)]),
  ];
}

function describeNumbers(numbers: EntryNumbers): string[] {
  const { latent, vectors, scan, item, total } = numbers.rentPerMonthUsd;
  const cheaper = numbers.cheaperIn === null ? '' : `, cheaper in ${numbers.cheaperIn}`;
  return [
    line(
      'use',
      `${numbers.reuseClass}; ${numbers.hits} hits in total, last used ${duration(numbers.ageSeconds)} ago`,
    ),
    line(
      'a hit',
      `saves ${rounded(numbers.marginEvaluations)} evaluations over the next best entry, at ${rounded(numbers.secondsPerEvaluation)} s each: ${dollars(numbers.dollarsPerHit)}`,
    ),
    line(
      'value',
      `${rounded(numbers.hitsPerMonth)} expected hits per month: ${dollars(numbers.valuePerMonthUsd)} per month`,
    ),
    line(
      'rent',
      `${dollars(total)} per month: latent ${dollars(latent)} (${numbers.storageClass}${cheaper}), vectors ${dollars(vectors)}, their share of queries ${dollars(scan)}, record ${dollars(item)}`,
    ),
    line(
      'ratio',
      `it saves ${rounded(numbers.density)} times its rent; one hit covers the rent of ${duration(numbers.breakEvenSeconds)}`,
    ),
  ];
}

function describeChange({ verdict, wouldChange }: Explanation): string[] {
  if (wouldChange === undefined) return [];
  const { unusedSeconds, rentPerMonthUsd, hitsPerMonth } = wouldChange;
  if (verdict === 'rent') {
    return hitsPerMonth === null
      ? [line('otherwise', 'only a pin would keep it: a hit saves nothing')]
      : [line('otherwise', `${rounded(hitsPerMonth)} hits per month would keep it`)];
  }
  if (verdict !== 'keep' && verdict !== 'move') return [];
  const unused =
    unusedSeconds === null
      ? 'it is kept for years without a hit'
      : `it is evicted after ${duration(unusedSeconds)} without a hit`;
  return [line('otherwise', `${unused}, or at a rent of ${dollars(rentPerMonthUsd)} per month`)];
}
