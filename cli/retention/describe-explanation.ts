import type { EntryNumbers, Explanation } from '#retention/explanation.ts';
import { dollars, duration, line, rounded } from './amounts.ts';

const VERDICTS: Readonly<Record<Explanation['verdict'], string>> = {
  keep: 'stays',
  pinned: 'stays: it is pinned',
  leased: 'stays while a request uses it',
  move: 'stays, in another storage class',
  rent: 'leaves: it does not pay its rent',
  budget: 'leaves: the budget is spent on what pays more',
  duplicate: 'leaves: another entry does the same',
  obsolete: 'leaves: its model is no longer served',
  'latent-missing': 'leaves: its latent is gone',
  superseded: 'leaves: it was made again',
  gone: 'is not in the cache',
};

/** The numbers behind a verdict, in words; lines without their ends. */
export function describeExplanation(explanation: Explanation): string[] {
  const { entryId, state, verdict, because, numbers, left, job } = explanation;
  return [
    `${entryId} ${state === 'READY' || state === 'none' ? VERDICTS[verdict] : 'is leaving'}`,
    ...because.map((reason) => line('because', `${reason}`)),
    ...(numbers === undefined ? [] : describeNumbers(numbers)),
    ...describeChange(explanation),
    ...(left?.at === undefined ? [] : [line('left', `${left.at}`)]),
    ...(left?.latentGoneAt === undefined
      ? []
      : [line('latent', `is deleted after ${left.latentGoneAt}`)]),
    ...(left?.recordGoneAt === undefined
      ? []
      : [line('record', `is recordsDeleted after ${left.recordGoneAt}`)]),
    ...(job === undefined ? [] : [line('video', `${job.status}, asked for ${job.createdAt}`)]),
  ];
}

function describeNumbers(numbers: EntryNumbers): string[] {
  const { latent, vectors, scan, item, total } = numbers.rentPerMonthUsd;
  const cheaper = numbers.cheaperIn === null ? '' : `, cheaper in ${numbers.cheaperIn}`;
  return [
    line(
      'use',
      `${numbers.reuseClass}; ${numbers.hits} hits in all, last used ${duration(numbers.ageSeconds)} ago`,
    ),
    line(
      'a hit',
      `saves ${rounded(numbers.marginEvaluations)} evaluations over the next best, at ${rounded(numbers.secondsPerEvaluation)} s each: ${dollars(numbers.dollarsPerHit)}`,
    ),
    line(
      'value',
      `${rounded(numbers.hitsPerMonth)} hits a month are expected: ${dollars(numbers.valuePerMonthUsd)} a month`,
    ),
    line(
      'rent',
      `${dollars(total)} a month: latent ${dollars(latent)} (${numbers.storageClass}${cheaper}), vectors ${dollars(vectors)}, their share of queries ${dollars(scan)}, record ${dollars(item)}`,
    ),
    line(
      'ratio',
      `it saves ${rounded(numbers.density)} times its rent; one hit pays for ${duration(numbers.breakEvenSeconds)}`,
    ),
  ];
}

function describeChange({ verdict, wouldChange }: Explanation): string[] {
  if (wouldChange === undefined) return [];
  const { unusedSeconds, rentPerMonthUsd, hitsPerMonth } = wouldChange;
  if (verdict === 'rent') {
    return hitsPerMonth === null
      ? [line('otherwise', 'nothing keeps it but a pin: a hit saves nothing')]
      : [line('otherwise', `${rounded(hitsPerMonth)} hits a month would keep it`)];
  }
  if (verdict !== 'keep' && verdict !== 'move') return [];
  const unused =
    unusedSeconds === null
      ? 'it stays for years without a hit'
      : `it leaves once it was not hit for ${duration(unusedSeconds)}`;
  return [line('otherwise', `${unused}, or at a rent of ${dollars(rentPerMonthUsd)} a month`)];
}
