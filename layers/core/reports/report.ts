import { addDays } from '../day.ts';
import type { Job } from '../generation.ts';
import {
  machinePriceId,
  priceIn,
  type Price,
  type PriceBook,
  type PriceId,
} from '../pricing/prices.ts';
import type { EvictionReason, RetentionRun } from '../retention/retention-run.ts';
import { daysOf, type DayRange } from './day-range.ts';
import { evictionsOf } from './evictions.ts';
import { Groups, type Group, type Grouping } from './grouping.ts';
import { CostHistogram, type Bin } from './histogram.ts';
import { costOfTail, type IdleTail } from './idle-tails.ts';
import { MEASURE_REACHES_DAYS, StorageMeter, type StorageDay } from './storage-rent.ts';
import { SumsOf, type Sums } from './sums.ts';
import { videoLine, type VideoLine } from './video-line.ts';

/** Data of a report by day (`2026-11-22`, UTC). */
export interface ReportSources {
  jobs(day: string): AsyncIterable<Job>;
  runs(day: string): Promise<readonly RetentionRun[]>;
  idleTails(day: string): Promise<readonly IdleTail[]>;
}

export interface ReportQuestion {
  by: Grouping;
  range: DayRange;
  /** Only the videos of this tenant, without storage and idle machines; null: all. */
  tenant: string | null;
  /** Current prices of a region. */
  book: PriceBook;
  /** Returns the prices of a day. */
  bookOf: (day: string) => PriceBook;
  /** Epoch milliseconds. */
  now: number;
}

/** Costs of one day. */
export interface ReportDay {
  day: string;
  videos: Sums;
  /** Idle machines that belong to no video; null in the report of one tenant. */
  tails: bigint | null;
  /** Null in the report of one tenant. */
  storage: StorageDay | null;
  evictions: ReadonlyMap<EvictionReason, number>;
}

/** A price used in the report. */
export interface UsedPrice extends Pick<Price, 'id' | 'amount' | 'unit' | 'source' | 'asOf'> {
  isUncertain: boolean;
  /** First day of the report with this price. */
  from: string;
}

/** A complete report. Money is in pico-dollars. */
export interface Report {
  by: Grouping;
  range: DayRange;
  tenant: string | null;
  region: string;
  /** Date of the price book. */
  asOf: string;
  /** ISO 8601, UTC. */
  madeAt: string;
  /** Empty if grouped by video, because videos are yielded one by one. */
  groups: Group[];
  videos: Sums;
  tails: bigint | null;
  storage: bigint | null;
  /** Loaded cost of videos, other idle machines, and storage. */
  all: bigint;
  days: ReportDay[];
  hits: Group[];
  tenants: Group[];
  histogram: Bin[];
  prices: UsedPrice[];
}

const NOBODY = new SumsOf();

/**
 * Computes a report day by day. Holds the groups, the days and one video in memory.
 *
 * @returns yields every video in the order of creation, then returns the report
 * @throws InvalidInputError if a usage record has an impossible value; @throws UnknownPriceError
 */
export async function* reportVideos(
  sources: ReportSources,
  question: ReportQuestion,
): AsyncGenerator<VideoLine, Report, void> {
  const { by, range, tenant, book, bookOf, now } = question;
  const videos = new SumsOf();
  const groups = by === 'video' ? null : new Groups(by);
  const byDay = new Groups('day');
  const hits = new Groups('hit');
  const tenants = new Groups('tenant');
  const histogram = new CostHistogram();
  const prices = new UsedPrices();
  const days: ReportDay[] = [];
  const meter = new StorageMeter(tenant === null ? await lastMeasures(sources, range) : []);

  for (const day of daysOf(range)) {
    const dayBook = bookOf(day);
    for await (const job of sources.jobs(day)) {
      if (tenant !== null && job.tenant !== tenant) continue;
      const line = videoLine(job, dayBook);
      for (const sums of [videos, groups, byDay, hits, tenants]) sums?.add(line);
      if (line.status === 'completed') histogram.add(line.total);
      prices.add(line.priceIds, dayBook, day);
      yield line;
    }
    const dayVideos = byDay.get(day) ?? NOBODY;
    if (tenant !== null) {
      days.push({ day, videos: dayVideos, tails: null, storage: null, evictions: new Map() });
      continue;
    }
    const idleTails = await sources.idleTails(day);
    const runs = await sources.runs(day);
    const storage = meter.day(day, runs, dayBook, now);
    prices.add(idleTails.map(machinePriceId), dayBook, day);
    prices.add([...storage.items.keys()], dayBook, day);
    days.push({
      day,
      videos: dayVideos,
      tails: idleTails.reduce((sum, tail) => sum + costOfTail(tail, dayBook), 0n),
      storage,
      evictions: evictionsOf(runs),
    });
  }

  const sumOf = (amountOf: (day: ReportDay) => bigint): bigint =>
    days.reduce((sum, day) => sum + amountOf(day), 0n);
  const tails = tenant === null ? sumOf((day) => day.tails ?? 0n) : null;
  const storage = tenant === null ? sumOf((day) => day.storage?.amount ?? 0n) : null;
  return {
    by,
    range,
    tenant,
    region: book.region,
    asOf: book.asOf,
    madeAt: new Date(now).toISOString(),
    groups: groups?.sorted() ?? [],
    videos,
    tails,
    storage,
    all: videos.loaded + (tails ?? 0n) + (storage ?? 0n),
    days,
    hits: hits.sorted(),
    tenants: tenants.sorted(),
    histogram: histogram.bins(),
    prices: prices.sorted(),
  };
}

/**
 * Computes a report.
 *
 * @param onVideo called with every video
 */
export async function makeReport(
  sources: ReportSources,
  question: ReportQuestion,
  onVideo: (line: VideoLine) => void = () => {},
): Promise<Report> {
  const videos = reportVideos(sources, question);
  for (;;) {
    const { done, value } = await videos.next();
    if (done) return value;
    onVideo(value);
  }
}

/** Returns the passes of the last day before a range that has a complete one: the storage at its start. */
async function lastMeasures(
  sources: ReportSources,
  { from }: DayRange,
): Promise<readonly RetentionRun[]> {
  for (let back = 1; back <= MEASURE_REACHES_DAYS; back++) {
    const runs = await sources.runs(addDays(from, -back));
    if (runs.some(({ holdings, isComplete }) => holdings !== undefined && isComplete)) return runs;
  }
  return [];
}

class UsedPrices {
  readonly #prices = new Map<string, UsedPrice>();

  add(priceIds: readonly PriceId[], book: PriceBook, day: string): void {
    for (const priceId of priceIds) {
      const { id, amount, unit, source, asOf, uncertain } = priceIn(book, priceId);
      const name = `${id}@${amount}`;
      if (!this.#prices.has(name))
        this.#prices.set(name, {
          id,
          amount,
          unit,
          source,
          asOf,
          isUncertain: uncertain === true,
          from: day,
        });
    }
  }

  sorted(): UsedPrice[] {
    const nameOf = ({ id, from }: UsedPrice): string => `${id} ${from}`;
    return [...this.#prices.values()].sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  }
}
