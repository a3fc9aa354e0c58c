import { SIMULATED_HITS, type CacheResult, type SimulatedHit } from '#simulation/types.ts';
import type { NamedResult, SimulationAnswer } from './run-simulation.ts';

/** A table column; text is left-aligned, everything else right-aligned. */
export interface Column {
  name: string;
  isText?: true;
  of(row: NamedResult): string;
}

/** Table labels of hit kinds that differ from their names. */
const SHORT_NAMES: Partial<Readonly<Record<SimulatedHit, string>>> = {
  'same-prompt': 'same prompt',
  'object+background': 'obj+bg',
  background: 'backgr.',
};

/** Kinds of hits with their table labels, best first. */
export const HITS: readonly (readonly [SimulatedHit, string])[] = SIMULATED_HITS.map((hit) => [
  hit,
  SHORT_NAMES[hit] ?? hit,
]);

/**
 * Returns enough digits after the point to show two significant digits of the smallest rent, within
 * reason.
 */
export function dollarDigits({ results }: SimulationAnswer): number {
  const rents = results.map(({ result }) => result.dollars.storage).filter((rent) => rent > 0);
  const least = Math.min(1, ...rents);
  return Math.min(5, 1 + Math.ceil(-Math.log10(least)) + (least < 1 ? 0 : 1));
}

export function dollarColumns(answer: SimulationAnswer): Column[] {
  const digits = dollarDigits(answer);
  const dollars =
    (of: (result: CacheResult) => number) =>
    ({ result }: NamedResult): string =>
      of(result).toFixed(digits);
  const none = answer.results.find(({ policy }) => policy === 'none')?.result.dollars.total;
  const cheapest = cheapestByCell(answer.results);
  return [
    { name: 'capacity', isText: true, of: ({ capacity }) => capacity },
    { name: 'tier', isText: true, of: ({ tier }) => tier },
    {
      name: 'policy',
      isText: true,
      of: (row) => `${row.policy}${cheapest.has(row) ? ' *' : ''}`,
    },
    { name: 'GPU $', of: dollars(({ dollars: { gpu } }) => gpu) },
    { name: 'storage $', of: dollars(({ dollars: { storage } }) => storage) },
    { name: 'requests $', of: dollars(({ dollars: { requests } }) => requests) },
    { name: 'total $', of: dollars(({ dollars: { total } }) => total) },
    ...(none === undefined
      ? []
      : [
          {
            name: 'saved',
            of: ({ result }: NamedResult) => percent(1 - result.dollars.total / none),
          },
        ]),
    { name: 'most entries', of: ({ result }) => String(result.entries.most) },
    { name: 'most bytes', of: ({ result }) => String(result.latentBytes.most) },
    { name: 'not stored', of: ({ result }) => String(result.entries.refused) },
    { name: 'dropped', of: ({ result }) => String(result.entries.evicted) },
  ];
}

export function hitColumns(): Column[] {
  return [
    { name: 'capacity', isText: true, of: ({ capacity }) => capacity },
    { name: 'tier', isText: true, of: ({ tier }) => tier },
    { name: 'policy', isText: true, of: ({ policy }) => policy },
    ...HITS.map(([hit, name]) => ({
      name,
      of: ({ result }: NamedResult) => percent(result.hits[hit] / result.requests),
    })),
    { name: 'skipped', of: ({ result }) => percent(result.skippedShare) },
    { name: 'first pass', of: ({ result }) => percent(result.semanticSkippedShare) },
    { name: 'fast reads', of: ({ result }) => String(result.fastTierHits) },
  ];
}

/** Returns the cheapest policy for each capacity and tier; `none` and `all` have no capacity. */
export function cheapestByCell(results: readonly NamedResult[]): Set<NamedResult> {
  const cheapest = new Map<string, NamedResult>();
  for (const row of results) {
    if (row.policy === 'none' || row.policy === 'all') continue;
    const cell = JSON.stringify([row.capacity, row.tier]);
    const best = cheapest.get(cell);
    if (best === undefined || row.result.dollars.total < best.result.dollars.total) {
      cheapest.set(cell, row);
    }
  }
  return new Set(cheapest.values());
}

/** Computes the share of requests that started from another prompt's video. */
export function semanticHits({ hits, requests }: CacheResult): number {
  return (requests - hits.exact - hits['same-prompt'] - hits.miss) / requests;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
