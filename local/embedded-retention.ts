import { dayOf } from '#core/day.ts';
import { FlexCacheError } from '#core/errors.ts';
import { admissionRule, type AdmissionRule } from '#functions/commit/cache-admission.ts';
import { embeddedPrices } from '#functions/shared/deployed-prices.ts';
import { evict, type EvictOutcome, type EvictStores } from '#retention/evict.ts';
import type { EvictSettings } from '#retention/evict-settings.ts';
import { recordedSweep, type RecordedSweepStores } from '#retention/sweep/recorded-sweep.ts';
import type { SweepSummary } from '#retention/sweep/sweep.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { validateCacheBudget } from './cache-budget.ts';
import type { HolderCalls } from './owner-calls.ts';
import { RetentionSchedule } from './retention-schedule.ts';

export type RetentionStores = EvictStores & RecordedSweepStores;

export interface EmbeddedRetentionOptions {
  stores: RetentionStores;
  /** Elements of one vector. */
  dimensions: number;
  /** Dollars a month that the cache may cost in rent; null, as unless said, for whatever pays its rent. */
  budgetUsd?: number | null;
  /** Epoch milliseconds. */
  now?: () => number;
}

export interface EvictRequest {
  isDryRun?: boolean;
  /** Runs an eviction pass now, due or not. */
  isForced?: boolean;
  /** Instead of the usual one. */
  budgetUsd?: number | null;
  /** Ends it early; the next one goes on. */
  signal?: AbortSignal;
}

export type SweepRequest = Pick<EvictRequest, 'isDryRun' | 'signal'>;

/** How often the passes come, milliseconds. */
export interface RetentionPeriods {
  evict: number;
  sweep: number;
}

const DAY = 24 * 3_600_000;

/**
 * This machine has one cache, and only the owner of its state folder evicts from it: what a
 * process before this one left unfinished is gone on with at once.
 */
const HOLDER = 'embedded';

/** Rents are those of the deployment that this machine stands for. */
const STORAGE_CLASS = 'INTELLIGENT_TIERING';

/**
 * Settings of eviction with this budget on this machine: the prices of `FLEXCACHE_PRICE_REGION`, the
 * classes that a deployment has unless told otherwise, and the GPU of the book's reference machine.
 */
export function embeddedEvictSettings(
  dimensions: number,
  budgetUsd: number | null = null,
): EvictSettings {
  return {
    book: embeddedPrices(),
    dimensions,
    storageClass: STORAGE_CLASS,
    budgetUsd: budgetUsd === null ? null : validateCacheBudget(budgetUsd),
    movesStorageClasses: false,
    onlyCompatibilityKey: null,
  };
}

/** The deployed passes over the embedded stores: one at a time, until it is closed. */
export class EmbeddedRetention {
  /** By what the passes have learned. */
  readonly addsLittle: AdmissionRule;
  readonly #options: EmbeddedRetentionOptions;
  readonly #closing = new AbortController();
  #turns: Promise<unknown> = Promise.resolve();
  #schedule: RetentionSchedule | undefined;

  constructor(options: EmbeddedRetentionOptions) {
    this.#options = options;
    const { stores, dimensions, now } = options;
    this.addsLittle = admissionRule({
      retention: stores.retention,
      settings: embeddedEvictSettings(dimensions),
      ...(now && { now }),
    });
  }

  /** Runs an eviction pass when it is due or forced, and finishes evictions whose grace period is over. */
  evict({ signal, budgetUsd, ...request }: EvictRequest = {}): Promise<EvictOutcome> {
    const { stores, dimensions, budgetUsd: usual = null, now } = this.#options;
    return this.#inTurn(async (closing) => {
      const settings = embeddedEvictSettings(
        dimensions,
        budgetUsd === undefined ? usual : budgetUsd,
      );
      return evict(stores, settings, {
        ...request,
        signal: either(closing, signal),
        holder: HOLDER,
        ...(now && { now }),
      });
    });
  }

  /** Clears away what crashes have left. */
  sweep({ signal, isDryRun = false }: SweepRequest = {}): Promise<SweepSummary> {
    const { stores, now } = this.#options;
    return this.#inTurn((closing) =>
      recordedSweep(stores, { isDryRun, signal: either(closing, signal), ...(now && { now }) }),
    );
  }

  /** From now on until it is closed the passes come by themselves; what is overdue comes at once. */
  schedule(periods: RetentionPeriods, log: (event: TelemetryEvent) => void): void {
    this.#requireOpen();
    this.#schedule ??= new RetentionSchedule({
      log,
      passes: [
        {
          name: 'evict',
          everyMilliseconds: periods.evict,
          // It knows itself when it is due, and what has been leaving is never too early to finish.
          lastStartedAt: async () => null,
          run: (signal) => this.evict({ signal }),
        },
        {
          name: 'sweep',
          everyMilliseconds: periods.sweep,
          lastStartedAt: () => this.#lastSweepAt(periods.sweep),
          run: (signal) => this.sweep({ signal }),
        },
      ],
    });
  }

  /** What other processes may ask of the holder of the state folder. */
  get calls(): HolderCalls {
    return {
      evict: (input) => this.evict(evictRequest(input)),
      sweep: (input) => this.sweep(sweepRequest(input)),
    };
  }

  /** Stops the pass under way at its next step, and waits for it. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#schedule?.[Symbol.asyncDispose]();
    await this.#turns;
  }

  #inTurn<Outcome>(pass: (closing: AbortSignal) => Promise<Outcome>): Promise<Outcome> {
    const turn = this.#turns.then(() => {
      this.#requireOpen();
      return pass(this.#closing.signal);
    });
    this.#turns = turn.catch(() => {});
    return turn;
  }

  #requireOpen(): void {
    if (!this.#closing.signal.aborted) return;
    throw new FlexCacheError('cancelled', 'the embedded cloud was closed before the pass began', {
      fix: 'run the same command again',
    });
  }

  /** Null when none that was complete began within the period. */
  async #lastSweepAt(period: number): Promise<number | null> {
    const { stores, now = Date.now } = this.#options;
    const until = now();
    for (let time = until; time > until - period - DAY; time -= DAY) {
      const runs = await stores.retention.listRuns(dayOf(new Date(time).toISOString()));
      const last = runs.findLast((run) => run.kind === 'sweep' && run.isComplete);
      if (last !== undefined) return Date.parse(last.startedAt);
    }
    return null;
  }
}

/** Of another process; that it came from one of ours makes it no more certain. */
function evictRequest(input: unknown): EvictRequest {
  const { isForced, budgetUsd } = (input ?? {}) as Record<string, unknown>;
  return {
    ...sweepRequest(input),
    isForced: isForced === true,
    ...(budgetUsd !== undefined && {
      budgetUsd: budgetUsd === null ? null : validateCacheBudget(budgetUsd),
    }),
  };
}

function sweepRequest(input: unknown): SweepRequest {
  const { isDryRun } = (input ?? {}) as Record<string, unknown>;
  return { isDryRun: isDryRun === true };
}

function either(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? one : AbortSignal.any([one, other]);
}
