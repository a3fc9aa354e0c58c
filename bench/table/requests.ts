import { createRandomSource } from '#core/random.ts';
import { drawOrder } from '#simulation/traces/draw.ts';
import { generateTrace } from '#simulation/traces/generate-trace.ts';
import { SYNTHETIC_DEFAULTS } from '#simulation/traces/synthetic-parameters.ts';

/** One request of the replayed trace. */
export interface BenchRequest {
  /** Position in the replay, from 0. */
  index: number;
  /** Epoch seconds. */
  time: number;
  prompt: string;
  seed: number;
  /** Of one user, some minutes long: each request follows from the one before. */
  session: number;
  /** Whether an earlier request of the replay has the same prompt and seed: every system answers it from its results. */
  isExact: boolean;
}

export interface TraceOptions {
  requests: number;
  seed: number;
  /** The same requests in a drawn order: what a cache gains from sessions is lost, what it gains from repetition stays. */
  shuffled?: boolean;
}

/** A trace of the cited session parameters (`layers/simulation/traces`). */
export function benchRequests({ requests, seed, shuffled = false }: TraceOptions): BenchRequest[] {
  const inOrder = generateTrace({ ...SYNTHETIC_DEFAULTS, requests, seed });
  const ordered = shuffled
    ? drawOrder(createRandomSource(seed, 'shuffled-control'), inOrder)
    : inOrder;
  const met = new Set<string>();
  return ordered.map(({ prompt, seed: own, session }, index) => {
    const key = `${own} ${prompt}`;
    const isExact = met.has(key);
    met.add(key);
    return {
      index,
      time: inOrder[index]!.time,
      prompt,
      seed: own,
      // In drawn order nothing follows from what came before.
      session: shuffled ? index : session,
      isExact,
    };
  });
}
