import type { EntryState } from '#core/retention/entry-state.ts';
import { entryBytes } from '#core/costs/entry-rent.ts';
import { LOOKUP_PARTS, type LookupPart, type Plan } from '#core/generation.ts';
import type { PreparedRequest } from './prepare-request.ts';
import type { Shown, SimulationOptions } from './types.ts';

/** Of videos of which it is not said how well they show their prompts. */
const ALL_SHOWN: Shown = { whole: 1, object: 1, background: 1 };

/** An entry of a simulated cache: what the policy knows of it, and what it is found by. */
export interface SimulatedEntry extends EntryState {
  entryId: string;
  prompt: string;
  /** Null when no request can repeat it. */
  exactKey: string | null;
  /** Numbers of its vectors in the spaces of its partition. */
  vectors: { readonly [Part in LookupPart]: number | null };
  partition: number;
  shown: Shown;
  /** Epoch milliseconds until which its rent was paid. */
  paidUntil: number;
}

/** What a hit did with an entry. */
export interface EntryUse {
  /** Epoch milliseconds. */
  now: number;
  /** Network evaluations saved over the next best donor. */
  credit: number;
  /** Network evaluations that the whole plan skipped. */
  skipped: number;
}

/** What a generated video becomes: an entry that nobody has hit. */
export function newEntry(
  made: {
    prepared: PreparedRequest;
    plan: Plan;
    neighbours: number;
    donors: readonly SimulatedEntry[];
  },
  options: Pick<SimulationOptions, 'latentBytes' | 'storageClass' | 'secondsPerEvaluation'>,
): SimulatedEntry {
  const { request, index, now, partition, vectors, exactKey } = made.prepared;
  const { latentBytes, storageClass, secondsPerEvaluation } = options;
  return {
    entryId: `e${index}`,
    prompt: request.prompt,
    exactKey,
    vectors,
    partition,
    shown: request.shown ?? ALL_SHOWN,
    paidUntil: now,
    createdAt: now,
    lastHitAt: null,
    previousHitAt: null,
    hits: 0,
    decayedHits: 0,
    decayedCredit: 0,
    neighbours: made.neighbours,
    generation: 1 + Math.max(-1, ...made.donors.map(({ generation }) => generation)),
    stepsRun: made.plan.equivalents,
    secondsPerEvaluation,
    latentBytes,
    storageClass,
    ...entryBytes(request.vectors.whole.length, partsOf({ vectors }).length),
    isPinned: false,
  };
}

/** The parts that its prompt names. */
export function partsOf({ vectors }: Pick<SimulatedEntry, 'vectors'>): LookupPart[] {
  return LOOKUP_PARTS.filter((part) => vectors[part] !== null);
}
