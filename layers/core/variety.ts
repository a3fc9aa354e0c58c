import type { HitKind } from './generation.ts';

export const VARIETIES = ['none', 'low', 'medium', 'high'] as const;

/** How much another seed changes a video, beside what it changes in full generations. */
export type Variety = (typeof VARIETIES)[number];

/**
 * From this start time on two seeds differ by more than a third, and from the second on by more than two thirds, of
 * what two full generations differ by: mean squared difference of the latents, `bench/variety.ts`.
 */
const MEDIUM_FROM = 0.6;
const HIGH_FROM = 0.85;

/**
 * What a start time leaves to the seed. An exact hit is the stored video itself; a request that wants
 * more sets `maxReuse`, which makes denoising start at `1 - maxReuse` or later.
 *
 * @example
 * varietyOf({ hit: 'whole', startTime: 0.3 }); // 'low'
 */
export function varietyOf({ hit, startTime }: { hit: HitKind; startTime: number }): Variety {
  if (hit === 'exact') return 'none';
  if (startTime >= HIGH_FROM) return 'high';
  return startTime >= MEDIUM_FROM ? 'medium' : 'low';
}
