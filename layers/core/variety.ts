import type { HitKind } from './generation.ts';

export const VARIETIES = ['none', 'low', 'medium', 'high'] as const;

/** How much another seed changes a video, beside what it changes in full generations. */
export type Variety = (typeof VARIETIES)[number];

/**
 * On the demo package (`bench/variety.ts`) two seeds that start before this from the same donor differ by at most a
 * twentieth of what two full generations differ by, and from here on by a tenth to a quarter.
 */
const MEDIUM_FROM = 0.9;
/**
 * Behind a background that is kept as lightly as this, the rest differs as in full generations; where the
 * background is held (`Anchor`), the object alone makes seven tenths of that (3 prompts).
 */
const HIGH_FROM = 0.95;

/**
 * What a start time leaves to the seed. An exact hit is the stored video itself; a request that wants
 * more sets `maxReuse`, which makes denoising start at `1 - maxReuse` or later; 0 is a full generation.
 *
 * @example
 * varietyOf({ hit: 'whole', startTime: 0.3 }); // 'low'
 */
export function varietyOf({ hit, startTime }: { hit: HitKind; startTime: number }): Variety {
  if (hit === 'exact') return 'none';
  const keepsObject = hit !== 'miss' && hit !== 'background';
  if (startTime >= HIGH_FROM && !keepsObject) return 'high';
  return startTime >= MEDIUM_FROM ? 'medium' : 'low';
}
