import { createRandomSource } from '#core/random.ts';
import type { ReplayedRequest } from '#simulation/types.ts';
import { drawOrder } from '#simulation/traces/draw.ts';

/**
 * Returns the same times with the requests in random order: this removes the effect of order on a
 * cache and keeps that of repetition.
 */
export function shuffled(requests: readonly ReplayedRequest[], seed: number): ReplayedRequest[] {
  const order = drawOrder(createRandomSource(seed, 'shuffled-control'), requests);
  return requests.map(({ time }, index) => ({ ...order[index]!, time }));
}
