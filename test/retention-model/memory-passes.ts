import { ConditionFailedError } from '#core/errors.ts';
import type { EvictState } from '#retention/pass-state.ts';
import type { RetentionState, RetentionTable } from '#ports/retention-table.ts';
import { canonical } from './fold.ts';

/** Turns and progress of passes in memory, answered at once: they are no part of what races. */
export class MemoryPasses implements RetentionTable {
  #holder: string | null = null;
  #heldUntil = -Infinity;
  #state: RetentionState | null = null;

  async putRun(): Promise<void> {}

  async listRuns(): Promise<[]> {
    return [];
  }

  async getState(): Promise<RetentionState | null> {
    return this.#state;
  }

  async acquireLease(holder: string, now: number, until: number): Promise<boolean> {
    if (this.#holder !== null && this.#holder !== holder && this.#heldUntil > now) return false;
    this.#holder = holder;
    this.#heldUntil = until;
    return true;
  }

  async putState(state: RetentionState, holder: string, until: number): Promise<void> {
    if (this.#holder !== holder) throw new ConditionFailedError('another pass goes on');
    this.#state = state;
    this.#heldUntil = until;
  }

  async releaseLease(holder: string): Promise<void> {
    if (this.#holder === holder) this.#holder = null;
  }

  /** Equal where the next pass does the same: figures aside. */
  get place(): string {
    const { pass, last } = (this.#state ?? {}) as Partial<EvictState>;
    return `${this.#holder} ${pass?.phase} ${canonical(pass?.cursor)} ${last?.startedAt}`;
  }
}
