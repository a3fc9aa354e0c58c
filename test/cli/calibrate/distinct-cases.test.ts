import { describe, expect, it } from 'vitest';
import { distinctCases } from '#cli/calibrate/distinct-cases.ts';
import type { Donor } from '#cli/calibrate/donors.ts';
import type { LookupPart } from '#core/generation.ts';

const pairOf = (target: number, ...donors: [string, LookupPart][]) => ({
  target,
  choice: {
    donors: donors.map(([key, part]) => ({ donor: { stored: { key } } as Donor, part })),
  },
});

describe('the cases of a bin', () => {
  it('have each prompt and each donor of a part once, the first in their order', () => {
    const cases = [
      pairOf(1, ['a', 'object'], ['b', 'background']),
      pairOf(1, ['c', 'object'], ['d', 'background']),
      pairOf(2, ['e', 'object'], ['b', 'background']),
      pairOf(3, ['b', 'object'], ['a', 'background']),
      pairOf(2, ['c', 'object'], ['d', 'background']),
    ];
    expect(distinctCases(cases)).toEqual([cases[0], cases[3], cases[4]]);
  });
});
