import { createRandomSource } from '#core/random.ts';
import { drawOrder } from '#core/simulate/traces/draw.ts';
import { generateTrace } from '#core/simulate/traces/generate-trace.ts';
import { SYNTHETIC_DEFAULTS } from '#core/simulate/traces/synthetic-parameters.ts';
import {
  WORLD_PHRASES,
  WORLD_SLOTS,
  type WorldSlot,
} from '#core/simulate/traces/world-vocabulary.ts';

/** What a prompt of the demo world asks for: the index of the value by the judge's attribute. */
export type Asked = Readonly<Partial<Record<Exclude<WorldSlot, 'opening'>, number>>>;

/** One request of the replayed trace. */
export interface BenchRequest {
  /** Position in the replay, from 0. */
  index: number;
  /** Epoch seconds. */
  time: number;
  prompt: string;
  seed: number;
  asked: Asked;
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

/** A trace of the cited session parameters (`core/simulate/traces`), with what its prompts ask for. */
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
      asked: askedBy(prompt),
      // In drawn order nothing follows from what came before.
      session: shuffled ? index : session,
      isExact,
    };
  });
}

/** Phrases of every slot, the longest first: `over a green meadow` must not be read as green. */
const PHRASES = WORLD_SLOTS.flatMap((slot) =>
  WORLD_PHRASES[slot].flatMap((phrases, value) =>
    phrases.map((phrase) => ({ slot, value, phrase })),
  ),
).sort((one, other) => other.phrase.length - one.phrase.length);

/** What a prompt names, read from the phrases that the trace generator writes. */
export function askedBy(prompt: string): Asked {
  const asked: Partial<Record<WorldSlot, number>> = {};
  let rest = ` ${prompt
    .toLowerCase()
    .replaceAll(/[^a-z ]/gu, ' ')
    .replaceAll(/ +/gu, ' ')} `;
  for (const { slot, value, phrase } of PHRASES) {
    const found = rest.indexOf(` ${phrase} `);
    if (found < 0 || asked[slot] !== undefined) continue;
    asked[slot] = value;
    rest = `${rest.slice(0, found)} | ${rest.slice(found + phrase.length + 2)}`;
  }
  delete asked.opening;
  return asked;
}
