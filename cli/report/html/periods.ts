import type { EvictionReason } from '#core/retention/retention-run.ts';
import type { ReportDay } from '#core/reports/report.ts';
import type { PriceId } from '#core/pricing/prices.ts';

/** A day of a report, or a month if there are too many days for one chart. */
export interface Period {
  /** `2026-11-22` or `2026-11`. */
  name: string;
  videos: number;
  /** Pico-dollars. */
  gpu: bigint;
  /** Requests by service: `lambda`, `dynamodb`, ... */
  services: ReadonlyMap<string, bigint>;
  /** Machines waiting, starting, or without a video. */
  machines: bigint;
  storage: bigint;
  storageItems: ReadonlyMap<PriceId, bigint>;
  total: bigint;
  wasted: bigint;
  full: bigint;
  saved: bigint;
  evictions: ReadonlyMap<EvictionReason, number>;
}

/** Maximum bars in a readable chart. */
const MAX_DAYS_SHOWN = 92;

/** Groups days into the periods of the charts. */
export function periodsOf(days: readonly ReportDay[]): Period[] {
  const letters = days.length > MAX_DAYS_SHOWN ? '2026-11'.length : '2026-11-22'.length;
  const groups = Map.groupBy(days, ({ day }) => day.slice(0, letters));
  return [...groups].map(([name, group]) => periodOf(name, group));
}

function periodOf(name: string, days: readonly ReportDay[]): Period {
  const sum = (amountOf: (day: ReportDay) => bigint): bigint =>
    days.reduce((total, day) => total + amountOf(day), 0n);
  const services = addMaps(days.map(({ videos }) => videos.services));
  services.delete('ec2');
  return {
    name,
    videos: days.reduce((count, { videos }) => count + videos.videos, 0),
    gpu: sum(({ videos }) => videos.gpu),
    services,
    machines: sum(({ videos, tails }) => videos.idle + videos.coldStart + (tails ?? 0n)),
    storage: sum(({ storage }) => storage?.amount ?? 0n),
    storageItems: addMaps(days.map(({ storage }) => storage?.items ?? new Map<PriceId, bigint>())),
    total: sum(({ videos }) => videos.total),
    wasted: sum(({ videos }) => videos.wasted),
    full: sum(({ videos }) => videos.full),
    saved: sum(({ videos }) => videos.saved),
    evictions: countMaps(days.map(({ evictions }) => evictions)),
  };
}

function addMaps<Key>(maps: readonly ReadonlyMap<Key, bigint>[]): Map<Key, bigint> {
  const sums = new Map<Key, bigint>();
  for (const map of maps) {
    for (const [key, amount] of map) sums.set(key, (sums.get(key) ?? 0n) + amount);
  }
  return sums;
}

function countMaps<Key>(maps: readonly ReadonlyMap<Key, number>[]): Map<Key, number> {
  const sums = new Map<Key, number>();
  for (const map of maps) {
    for (const [key, count] of map) sums.set(key, (sums.get(key) ?? 0) + count);
  }
  return sums;
}
