import type { Machine } from '#core/pricing/prices.ts';

/** Time of a GPU machine that belongs to no video: behind its last one, or without any. */
export interface IdleTail extends Machine {
  /** `2026-11-22`, UTC: the day on which the worker ended. */
  day: string;
  /** One process of the worker. */
  workerId: string;
  /** Without work, and until it was ready where no video has taken that. */
  seconds: number;
}

/** What idle machines cost that no video waited for, by days. */
export interface IdleTable {
  /** Idempotent: what the same worker says of the same day again takes the place of what it said. */
  addIdle(tail: IdleTail): Promise<void>;
  /** In no order. */
  listIdle(day: string): Promise<IdleTail[]>;
}
