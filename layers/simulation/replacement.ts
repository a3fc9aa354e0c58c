import type { EntryUse, SimulatedEntry } from './simulated-entry.ts';

/** What decides which entries a simulated tier holds. The tier tells it everything that happens. */
export interface ReplacementPolicy {
  /**
   * Whether a new entry is to be stored at all.
   *
   * @param isFull whether another one has to go for it
   */
  admits(entry: SimulatedEntry, now: number, isFull: boolean): boolean;
  inserted(entry: SimulatedEntry, now: number): void;
  /** Called before the entry itself counts the hit. */
  hit(entry: SimulatedEntry, use: EntryUse): void;
  removed(entry: SimulatedEntry, now: number): void;
  /** Which of those held goes first when there is no room. */
  victim(now: number): SimulatedEntry;
  /** Which go though there is room. Asked from time to time. */
  review(now: number): SimulatedEntry[];
}
