import type { ReuseStats } from '#core/retention/reuse-stats.ts';
import { entryBytes } from '#core/costs/entry-rent.ts';
import { LOOKUP_PARTS, type LookupPart, type Plan } from '#core/generation.ts';
import type { PreparedRequest } from './prepare-request.ts';
import type { Shown, SimulationOptions } from './types.ts';

/** Default for videos without measured adherence. */
const ALL_SHOWN: Shown = { whole: 1, object: 1, background: 1 };

/** An entry of a simulated cache: the policy's view of it, and its lookup keys. */
export interface SimulatedEntry extends ReuseStats {
  entryId: string;
  prompt: string;
  /** Null if no request can repeat it. */
  exactKey: string | null;
  /** Indices of its vectors in the spaces of its partition. */
  vectors: { readonly [Part in LookupPart]: number | null };
  partition: number;
  shown: Shown;
  /** Epoch milliseconds up to which its rent is paid. */
  paidUntil: number;
}

/** Effect of a hit on an entry. */
export interface EntryUse {
  /** Epoch milliseconds. */
  now: number;
  /** Network evaluations saved over the next best donor. */
  credit: number;
  /** Network evaluations that the whole plan skipped. */
  skipped: number;
}

/** Creates the entry of a generated video, without hits. */
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
    reuseDepth: 1 + Math.max(-1, ...made.donors.map(({ reuseDepth }) => reuseDepth)),
    stepsRun: made.plan.equivalents,
    secondsPerEvaluation,
    latentBytes,
    storageClass,
    ...entryBytes(request.vectors.whole.length, partsOf({ vectors }).length),
    isPinned: false,
  };
}

/** Returns the parts that its prompt names. */
export function partsOf({ vectors }: Pick<SimulatedEntry, 'vectors'>): LookupPart[] {
  return LOOKUP_PARTS.filter((part) => vectors[part] !== null);
}
