import type { DonorChoice } from './donors.ts';

/** A prompt, by index, and its donors. */
interface PairedCase {
  target: number;
  choice: Pick<DonorChoice, 'donors'>;
}

/**
 * Returns the cases in order without those that repeat an earlier prompt or donor.
 *
 * Repeated videos narrow a distribution and increase its Frechet distance, whatever a start does to
 * them. On either side of a comparison they would hide the loss of the start.
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
