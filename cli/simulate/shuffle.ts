import { createRandomSource } from '#core/random.ts';
import type { ReplayedRequest } from '#simulation/types.ts';
import { drawOrder } from '#simulation/traces/draw.ts';

/**
 * The same requests at the same times, but which of them comes when is drawn: what a cache gains from
 * the order of the trace is lost, what it gains from repetition stays.
 */
export function shuffled(requests: readonly ReplayedRequest[], seed: number): ReplayedRequest[] {
  const order = drawOrder(createRandomSource(seed, 'shuffled-control'), requests);
  return requests.map(({ time }, index) => ({ ...order[index]!, time }));
}
