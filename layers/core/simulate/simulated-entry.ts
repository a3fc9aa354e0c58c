import type { EntryState } from '../policy/entry-state.ts';
import type { LookupPart } from '../generation.ts';
import type { Shown } from './types.ts';

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
