import type { JobResult } from '../generation.ts';

export const VARIETIES = ['none', 'low', 'medium', 'high'] as const;

/** How much another seed changes a video, beside what it changes in full generations. */
export type Variety = (typeof VARIETIES)[number];

/**
 * On the demo package (`bench/variety.ts`, 18 prompts) two seeds that start before this from the same donor differ by
 * at most a tenth of what two full generations differ by, and from here on by a third.
 */
const MEDIUM_FROM = 0.9;

/**
 * What a start leaves to the seed. An exact hit is the stored video itself; a request that wants more sets
 * `maxReuse`, which makes denoising start at `1 - maxReuse` or later; 0 is a full generation. From one part of a
 * video alone more than half of what full generations differ by is left to the seed, and a third where its object's
 * place is the donor's too (`place`).
 *
 * @example
 * varietyOf({ hit: 'whole', startTime: 0.3 }); // 'low'
 */
export function varietyOf({
  hit,
  startTime,
  anchor,
}: Pick<JobResult, 'hit' | 'startTime' | 'anchor'>): Variety {
  if (hit === 'exact') return 'none';
  if (startTime < MEDIUM_FROM) return 'low';
  const isPartAlone = hit === 'object' || hit === 'background';
  return hit === 'miss' || (isPartAlone && anchor !== 'place') ? 'high' : 'medium';
}
