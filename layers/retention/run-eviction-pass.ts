import { randomUUID } from 'node:crypto';
import { dollarRates, type DollarRates } from '#core/costs/charges.ts';
import { dayOf } from '#core/day.ts';
import { bookOn } from '#core/pricing/prices.ts';
import type { RetentionRun } from '#core/retention/retention-run.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { RetentionTable } from '#ports/retention-table.ts';
import type { Table } from '#ports/table.ts';
import { Decider } from './decide.ts';
import { DensityHistogram } from './density-histogram.ts';
import { nextPassAt } from './due.ts';
import { DuplicateGroups } from './duplicates.ts';
import { gpuSecondUsd, type EvictSettings } from './evict-settings.ts';
import { measure, rank } from './measure.ts';
import { pagesFrom } from './pages.ts';
import { BEGINNING, readState, type EvictState, type Phase } from './pass-state.ts';
import { Pass } from './pass.ts';

export interface EvictionStores {
  table: Pick<Table, 'listCandidates' | 'getEntry' | 'moveEntry' | 'setStorageClass'>;
  objects: Pick<ObjectStore, 'setStorageClass'>;
  retention: RetentionTable;
}

export interface EvictionPassOptions {
  /** Reports what would be done and changes nothing. */
  isDryRun?: boolean;
  /** Runs now, due or not. */
  isForced?: boolean;
  /** Epoch milliseconds after which no new work starts. */
  deadline?: number;
  /** Stops at the next page, like the deadline. */
  signal?: AbortSignal;
  /** Epoch milliseconds. */
  now?: () => number;
  /** Name of the worker; a worker with the same name resumes its own unfinished pass at once. */
  holder?: string;
  /** Maximum entries per page. */
  pageSize?: number;
  /** Number of pages between checkpoints. */
  pagesPerCheckpoint?: number;
}

export type EvictionPassResult =
  /** ISO 8601 time when the next pass is due. */
  | { outcome: 'not-due'; nextAt: string }
  /** Another pass is running. */
  | { outcome: 'busy' }
  /** `run.isComplete` is false if the deadline came first: the next call resumes. */
  | { outcome: 'completed'; run: RetentionRun; rentPerMonthUsd: number };

/** A pass without a checkpoint for this time is dead: two checkpoints are seconds apart. */
const TURN_MILLISECONDS = 10 * 60_000;

const PAGES_PER_CHECKPOINT = 16;

/**
 * Compares every entry's expected savings with its rent, and evicts those that save less:
 *
 *     measure ─► (rank) ─► decide ─► merge
 *
 * Each phase but the last streams all segments: `measure` learns when entries are hit again, `rank`
 * finds where a budget ends, `decide` acts, `merge` evicts duplicates. A checkpoint every few pages lets
 * the next call resume; repeating the work since the checkpoint changes nothing, because evicted entries
 * are not read again and nothing else is written. Time is linear in the number of entries; memory holds
 * two pages, the model, and one share of duplicate groups.
 *
 * A lease that expires by itself allows only one pass at a time. A pass without its lease cannot write
 * checkpoints, and its writes are harmless: each is conditional on the entry as it was evaluated.
 */
export async function runEvictionPass(
  stores: EvictionStores,
  settings: EvictSettings,
  options: EvictionPassOptions = {},
): Promise<EvictionPassResult> {
  const { isDryRun = false, isForced = false, now = Date.now, holder = randomUUID() } = options;
  const { retention } = stores;
  const day = dayOf(new Date(now()).toISOString());
  const rates = dollarRates(bookOn(settings.book, day));
  const before = readState(await retention.getState());
  const nextAt = nextPassAt(before, rates);
  if (!isForced && nextAt > now()) {
    return { outcome: 'not-due', nextAt: new Date(nextAt).toISOString() };
  }
  if (isDryRun) return new Turn(stores, settings, options, { ...before, pass: null }, null).work();
  if (!(await retention.acquireLease(holder, now(), now() + TURN_MILLISECONDS))) {
    return { outcome: 'busy' };
  }
  try {
    const state = readState(await retention.getState());
    return await new Turn(stores, settings, options, state, holder).work();
  } finally {
    await retention.releaseLease(holder);
  }
}

/** One call's work on a pass: from its progress to its end, or to the deadline. */
class Turn {
  readonly #stores: EvictionStores;
  readonly #settings: EvictSettings;
  readonly #options: EvictionPassOptions;
  readonly #state: EvictState;
  /** Null in a dry run, which writes nothing. */
  readonly #holder: string | null;
  readonly #pass: Pass;
  readonly #rates: DollarRates;
  readonly #now: () => number;
  readonly #begunAt: number;
  readonly #secondsBefore: number;

  constructor(
    stores: EvictionStores,
    settings: EvictSettings,
    options: EvictionPassOptions,
    state: EvictState,
    holder: string | null,
  ) {
    this.#stores = stores;
    this.#settings = settings;
    this.#options = options;
    this.#state = state;
    this.#holder = holder;
    this.#now = options.now ?? Date.now;
    this.#begunAt = this.#now();
    this.#pass = Pass.after(state, randomUUID(), this.#begunAt);
    this.#secondsBefore = this.#pass.seconds;
    const day = dayOf(new Date(this.#pass.startedAt).toISOString());
    this.#rates = dollarRates(bookOn(settings.book, day));
  }

  async work(): Promise<EvictionPassResult> {
    const pass = this.#pass;
    if (pass.phase === 'measure') {
      const isThrough = await this.#stream((entries) => measure(entries, pass, this.#settings));
      if (!isThrough) return this.#unfinished();
      const { budgetUsd } = this.#settings;
      if (budgetUsd !== null) pass.densities = new DensityHistogram();
      await this.#enter(budgetUsd === null ? 'decide' : 'rank');
    }
    const context = pass.context(this.#rates, gpuSecondUsd(this.#settings, this.#rates));
    if (pass.phase === 'rank') {
      const isThrough = await this.#stream((entries) => {
        rank(entries, pass, this.#settings, context);
      });
      if (!isThrough) return this.#unfinished();
      pass.cutOff = pass.densities!.cutOff(this.#settings.budgetUsd ?? Infinity);
      await this.#enter('decide');
    }
    const groups = new DuplicateGroups(pass.cacheStats.entries, this.#state.round);
    const decider = new Decider({
      stores: this.#stores,
      settings: this.#settings,
      pass,
      context,
      groups,
      isDryRun: this.#holder === null,
      now: this.#now,
    });
    if (pass.phase === 'decide') {
      if (!(await this.#stream((entries) => decider.decide(entries)))) return this.#unfinished();
      await this.#enter('merge');
    }
    // Groups live in memory: a resumed pass has none, and a later pass covers them.
    await decider.merge(() => this.#hasTime());
    return this.#finish();
  }

  /** Streams all segments; true if it reached the end of the last one. */
  async #stream(each: (entries: EvictionCandidate[]) => void | Promise<void>): Promise<boolean> {
    const { pageSize, pagesPerCheckpoint = PAGES_PER_CHECKPOINT } = this.#options;
    const pass = this.#pass;
    let pages = 0;
    for await (const page of pagesFrom(this.#stores.table, pass.cursor, pageSize)) {
      await each(page.entries);
      if (page.next === null) return true;
      pass.cursor = page.next;
      if (!this.#hasTime()) return false;
      // Most segments of a small cache have one small page.
      if (page.entries.length > 0 && ++pages % pagesPerCheckpoint === 0) await this.#save();
    }
    return true;
  }

  async #enter(phase: Phase): Promise<void> {
    this.#pass.phase = phase;
    this.#pass.cursor = BEGINNING;
    await this.#save();
  }

  async #save(state: EvictState = { ...this.#state, pass: this.#record() }): Promise<void> {
    if (this.#holder === null) return;
    const until = this.#now() + TURN_MILLISECONDS;
    await this.#stores.retention.putState({ ...state }, this.#holder, until);
  }

  #record() {
    this.#pass.seconds = this.#secondsBefore + (this.#now() - this.#begunAt) / 1000;
    return this.#pass.toJSON();
  }

  async #unfinished(): Promise<EvictionPassResult> {
    await this.#save();
    return this.#evaluated(false);
  }

  /**
   * Writes the record first: until the state marks the pass as ended, ending it again writes the
   * same.
   */
  async #finish(): Promise<EvictionPassResult> {
    const evaluated = this.#evaluated(true);
    if (this.#holder !== null) await this.#stores.retention.putRun(evaluated.run);
    const pass = this.#record();
    const { model, cacheStats, startedAt, seconds, rentPerMonthUsd, holdings, cutOff } = pass;
    const { entries } = holdings;
    const phases = this.#settings.budgetUsd === null ? 2 : 3;
    await this.#save({
      ...this.#state,
      model,
      round: this.#state.round + 1,
      last: { startedAt, seconds, cacheStats, rentPerMonthUsd, entries, phases, cutOff },
      pass: null,
    });
    return evaluated;
  }

  #evaluated(isComplete: boolean): Extract<EvictionPassResult, { outcome: 'completed' }> {
    const { runId, startedAt, verdicts, holdings, counts, cacheStats, rentPerMonthUsd } =
      this.#pass;
    const run: RetentionRun = {
      runId,
      kind: 'evict',
      startedAt: new Date(startedAt).toISOString(),
      endedAt: new Date(this.#now()).toISOString(),
      isDryRun: this.#holder === null,
      isComplete,
      holdings,
      verdicts,
      counts: {
        ...counts,
        vectors: cacheStats.vectors,
        queriesPerMonth: Math.round(cacheStats.queriesPerMonth(startedAt)),
      },
    };
    return { outcome: 'completed', run, rentPerMonthUsd };
  }

  #hasTime(): boolean {
    const { deadline = Infinity, signal } = this.#options;
    return this.#now() < deadline && signal?.aborted !== true;
  }
}
