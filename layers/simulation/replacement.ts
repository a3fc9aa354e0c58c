import type { EntryUse, SimulatedEntry } from './simulated-entry.ts';

/** Decides which entries a simulated tier holds. The tier reports every event to it. */
export interface ReplacementPolicy {
  /**
   * Whether to store a new entry.
   *
   * @param isFull whether storing it evicts another one
   */
  admits(entry: SimulatedEntry, now: number, isFull: boolean): boolean;
  inserted(entry: SimulatedEntry, now: number): void;
  /** Called before the entry itself counts the hit. */
  hit(entry: SimulatedEntry, use: EntryUse): void;
  removed(entry: SimulatedEntry, now: number): void;
  /** Returns the held entry to evict when there is no room. */
  victim(now: number): SimulatedEntry;
  /** Returns entries to evict although there is room. Called periodically. */
  review(now: number): SimulatedEntry[];
}
