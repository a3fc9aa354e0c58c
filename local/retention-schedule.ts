import type { TelemetryEvent } from '#functions/shared/telemetry.ts';

/** Something that is done again and again. */
export interface ScheduledPass {
  name: string;
  everyMilliseconds: number;
  /** Epoch milliseconds when the last one that ended began; null when none is known. */
  lastStartedAt: () => Promise<number | null>;
  /** Stops early when the signal says so, and is finished by the next turn. */
  run: (signal: AbortSignal) => Promise<unknown>;
}

export interface RetentionScheduleOptions {
  passes: readonly ScheduledPass[];
  log: (event: TelemetryEvent) => void;
  /** Epoch milliseconds. */
  now?: () => number;
}

/** Longer than this no timer of Node waits. */
const MAX_WAIT_MILLISECONDS = 2 ** 31 - 1;

/**
 * Runs passes over the cache at their times, one at a time, beside whatever else the process does. One
 * that is overdue when the schedule starts runs at once. One that fails is logged and tried again at
 * its next turn.
 */
export class RetentionSchedule implements AsyncDisposable {
  readonly #options: RetentionScheduleOptions;
  readonly #now: () => number;
  readonly #stopping = new AbortController();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** What runs, and what waits for it. */
  #turns: Promise<void> = Promise.resolve();

  constructor(options: RetentionScheduleOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    for (const pass of options.passes) this.#queue(pass, () => this.#begin(pass));
  }

  /** Stops the pass under way at its next step, and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#turns;
  }

  async #begin(pass: ScheduledPass): Promise<void> {
    const last = await pass.lastStartedAt();
    const wait = last === null ? 0 : last + pass.everyMilliseconds - this.#now();
    // One from the future was written by a clock that went wrong.
    if (wait > 0) this.#wait(pass, Math.min(wait, pass.everyMilliseconds));
    else await this.#run(pass);
  }

  async #run(pass: ScheduledPass): Promise<void> {
    const begin = this.#now();
    await pass.run(this.#stopping.signal);
    this.#wait(pass, pass.everyMilliseconds - (this.#now() - begin));
  }

  /** Turns follow each other; one that fails takes nothing down with it. */
  #queue(pass: ScheduledPass, turn: () => Promise<void>): void {
    this.#turns = this.#turns.then(async () => {
      if (this.#stopping.signal.aborted) return;
      try {
        await turn();
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        this.#options.log({ level: 'warn', event: 'retention_failed', pass: pass.name, error });
        this.#wait(pass, pass.everyMilliseconds);
      }
    });
  }

  #wait(pass: ScheduledPass, milliseconds: number): void {
    if (this.#stopping.signal.aborted) return;
    const wait = Math.min(Math.max(0, milliseconds), MAX_WAIT_MILLISECONDS);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#queue(pass, () => this.#run(pass));
    }, wait);
    this.#timers.add(timer);
  }
}
