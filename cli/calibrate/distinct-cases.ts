import type { DonorChoice } from './donors.ts';

/** A prompt, by its position, and donors that were found for it. */
interface PairedCase {
  target: number;
  choice: Pick<DonorChoice, 'donors'>;
}

/**
 * The cases in their order without those whose prompt or one of whose donors came before.
 *
 * A distribution in which some videos come several times is narrower, and its Frechet distance larger, whatever
 * a start does to them. On either side of a comparison it would hide what the start loses.
 */
export function distinctCases<Case extends PairedCase>(cases: readonly Case[]): Case[] {
  const seen = new Set<string>();
  return cases.filter(({ target, choice }) => {
    const names = [
      `prompt ${target}`,
      ...choice.donors.map(({ donor, part }) => `${part} ${donor.stored.key}`),
    ];
    if (names.some((name) => seen.has(name))) return false;
    for (const name of names) seen.add(name);
    return true;
  });
}
