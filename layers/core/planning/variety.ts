import type { JobResult } from '../generation.ts';

export const VARIETIES = ['none', 'low', 'medium', 'high'] as const;

/** How much another seed changes a video, relative to full generations. */
export type Variety = (typeof VARIETIES)[number];

/**
 * On the demo package (`bench/variety.ts`, 18 prompts) two seeds that start below this time from
 * the same donor differ by at most a tenth of the difference of two full generations, and from here
 * on by a third.
 */
const MEDIUM_FROM = 0.9;

/**
 * Returns how much a start leaves to the seed. An exact hit is the stored video itself; a request
 * that wants more sets `maxReuse`, which raises the start time to at least `1 - maxReuse`; 0 is a
 * full generation. From one part of a video, the seed keeps more than half of the
 * difference of full generations, and a third if the donor also gives the object's place (`place`).
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
