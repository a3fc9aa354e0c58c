import type { DollarRates } from '#core/costs/charges.ts';
import type { ValueEstimate, PolicyContext } from '#core/retention/estimate-value.ts';
import { lastUseOf, type ReuseStats } from '#core/retention/reuse-stats.ts';
import { ReuseModel } from '#core/retention/reuse-model.ts';
import {
  EVICTION_REASONS,
  type EvictionReason,
  type Holdings,
  type Verdict,
} from '#core/retention/retention-run.ts';
import { addLatent, emptyHoldings } from '#core/costs/storage-cost.ts';
import { billedBytes, isMonitored, tierOf } from '#core/costs/storage-tier.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import { CacheStats } from './cache-stats.ts';
import { DensityHistogram, type CutOff } from './density-histogram.ts';
import {
  BEGINNING,
  type Cursor,
  type EvictState,
  type PassRecord,
  type Phase,
} from './pass-state.ts';

/** An abandoned pass restarts after this time, because too much has changed. */
const STALE_MILLISECONDS = 24 * 3_600_000;

/** An evaluated entry and its outcome. */
export interface EvaluatedEntry {
  entry: EvictionCandidate;
  state: ReuseStats;
  estimate: ValueEstimate;
}

/** An eviction pass in memory: observations, decisions and counts. */
export class Pass {
  readonly runId: string;
  /** Epoch milliseconds; reference time of all calculations of the pass. */
  readonly startedAt: number;
  /** Epoch milliseconds of the previous pass; 0 for the first. */
  readonly since: number;
  readonly model: ReuseModel;
  readonly cacheStats: CacheStats;
  phase: Phase;
  cursor: Cursor;
  densities: DensityHistogram | null;
  cutOff: CutOff | null;
  seconds: number;
  rentPerMonthUsd: number;
  readonly verdicts: PassRecord['verdicts'];
  readonly holdings: Holdings;
  readonly counts: Record<string, number>;

  constructor(record: PassRecord, since: number) {
    this.runId = record.runId;
    this.startedAt = record.startedAt;
    this.since = since;
    this.model = ReuseModel.from(record.model);
    this.cacheStats = new CacheStats(record.cacheStats);
    this.phase = record.phase;
    this.cursor = record.cursor;
    this.densities = record.densities && new DensityHistogram(record.densities);
    this.cutOff = record.cutOff;
    this.seconds = record.seconds;
    this.rentPerMonthUsd = record.rentPerMonthUsd;
    this.verdicts = structuredClone(record.verdicts);
    this.holdings = structuredClone(record.holdings);
    this.counts = { ...record.counts };
  }

  /** Resumes the unfinished pass, or starts one with what earlier passes learned. */
  static after(state: EvictState, runId: string, now: number): Pass {
    const { last, pass, model } = state;
    const since = last?.startedAt ?? 0;
    if (pass !== null && now - pass.startedAt < STALE_MILLISECONDS) return new Pass(pass, since);
    const learned = model === null ? new ReuseModel(now) : ReuseModel.from(model);
    learned.advanceTo(now);
    const cacheStats = last === null ? new CacheStats() : CacheStats.after(last.cacheStats);
    return new Pass(
      {
        runId,
        startedAt: now,
        phase: 'measure',
        cursor: BEGINNING,
        model: learned.toJSON(),
        cacheStats: cacheStats.toJSON(),
        densities: null,
        cutOff: null,
        verdicts: {},
        holdings: emptyHoldings(),
        rentPerMonthUsd: 0,
        counts: {},
        seconds: 0,
      },
      since,
    );
  }

  toJSON(): PassRecord {
    const { runId, startedAt, phase, cursor, cutOff, verdicts, holdings, counts, seconds } = this;
    return {
      runId,
      startedAt,
      phase,
      cursor,
      model: this.model.toJSON(),
      cacheStats: this.cacheStats.toJSON(),
      densities: this.densities?.toJSON() ?? null,
      cutOff,
      verdicts,
      holdings,
      rentPerMonthUsd: this.rentPerMonthUsd,
      counts,
      seconds,
    };
  }

  /** Returns the basis for estimates, once all entries are measured. */
  context(rates: DollarRates, dollarsPerGpuSecond: number): PolicyContext {
    return {
      now: this.startedAt,
      model: this.model,
      rates,
      dollarsPerGpuSecond,
      queriesPerMonth: this.cacheStats.queriesPerMonth(this.startedAt),
      vectorsInIndex: this.cacheStats.vectors,
    };
  }

  count(name: string, times = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + times;
  }

  record(verdict: Verdict, { entry, estimate }: EvaluatedEntry): void {
    const sum = (this.verdicts[verdict] ??= { count: 0, bytes: 0 });
    sum.count++;
    sum.bytes += entry.latentBytes;
    if (isReason(verdict)) this.count(EVICTED_RENT, estimate.rentPerMonth);
  }

  /** Counts the entry among what the cache holds when the pass ends. */
  keep(verdict: Verdict, evaluated: EvaluatedEntry): void {
    this.record(verdict, evaluated);
    const { entry, state, estimate } = evaluated;
    const { holdings } = this;
    holdings.entries++;
    holdings.videoBytes += entry.videoBytes;
    holdings.vectorBytes += state.vectorBytes;
    holdings.itemBytes += state.itemBytes;
    addLatent(holdings, objectOf(state), this.startedAt);
    this.rentPerMonthUsd += estimate.rentPerMonth;
  }

  /** Reverses a decision to keep an entry. */
  reverse(said: Verdict, verdict: Verdict, evaluated: EvaluatedEntry): void {
    const { entry, state, estimate } = evaluated;
    const { holdings } = this;
    const sum = this.verdicts[said]!;
    sum.count--;
    sum.bytes -= entry.latentBytes;
    this.record(verdict, evaluated);
    holdings.entries--;
    holdings.videoBytes -= entry.videoBytes;
    holdings.vectorBytes -= state.vectorBytes;
    holdings.itemBytes -= state.itemBytes;
    const object = objectOf(state);
    const held = holdings.latents[tierOf(object, this.startedAt)]!;
    held.count--;
    held.bytes -= object.bytes;
    held.billedBytes -= billedBytes(object.bytes, object.storageClass);
    if (isMonitored(object)) holdings.monitoredLatents--;
    this.rentPerMonthUsd -= estimate.rentPerMonth;
  }
}

/** Key of a run's counts: monthly rent of evicted entries, in dollars. */
export const EVICTED_RENT = 'evictedRentUsd';

function isReason(verdict: Verdict): verdict is EvictionReason {
  return (EVICTION_REASONS as readonly Verdict[]).includes(verdict);
}

function objectOf(state: ReuseStats) {
  const { latentBytes: bytes, storageClass } = state;
  return { bytes, storageClass, lastReadAt: lastUseOf(state) };
}
