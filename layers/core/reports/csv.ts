import type { Amounts } from '../costs/amounts.ts';
import { formatUsd } from '../pricing/money.ts';
import type { Grouping } from './grouping.ts';
import type { Report } from './report.ts';
import type { Sums } from './sums.ts';
import type { VideoLine } from './video-line.ts';

/** Columns in order; docs/reports.md describes them. */
export const CSV_COLUMNS = [
  'kind',
  'key',
  'created_at',
  'tenant',
  'model',
  'hit',
  'status',
  'backfill',
  'videos',
  'completed',
  'failed',
  'cancelled',
  'under_way',
  'gpu_usd',
  'requests_usd',
  'total_usd',
  'wasted_usd',
  'idle_usd',
  'cold_start_usd',
  'loaded_usd',
  'storage_usd',
  'all_usd',
  'full_usd',
  'saved_usd',
  'gpu_seconds',
  'steps_run',
  'steps_full',
] as const;

/** Cells of a row; missing ones are empty. */
type Row = Partial<Record<(typeof CSV_COLUMNS)[number], string | number | bigint>>;

/** Line end of RFC 4180. */
const LINE_END = '\r\n';

/** Exact to the pico-dollar. */
const USD_DIGITS = 12;

/** Spreadsheets may run text that starts with these as a formula (OWASP, CSV injection). */
const FORMULA_START = /^[=+\-@\t\r\n|%＝＋－＠]/;
const NEEDS_QUOTES = /[",;\r\n\t]|^\s|\s$/;

/**
 * Streams a report as CSV (RFC 4180, UTF-8) with exact dollar amounts. Each amount is in one row only, so that
 * a column adds up to the report's total.
 *
 * @param videos see `reportVideos`
 */
export async function* reportCsv(
  videos: AsyncGenerator<VideoLine, Report, void>,
  by: Grouping,
): AsyncGenerator<string> {
  yield `${CSV_COLUMNS.join(',')}${LINE_END}`;
  for (;;) {
    const { done, value } = await videos.next();
    if (!done) {
      if (by === 'video') yield line(videoRow(value));
      continue;
    }
    for (const { key, sums } of value.groups) yield line({ kind: by, key, ...cellsOf(sums) });
    yield* rowsOfNobody(value);
    return;
  }
}

/** Yields the rows of each day that belong to no video. */
function* rowsOfNobody({ days }: Report): Generator<string> {
  for (const { day, tails, storage } of days) {
    if (tails !== null && tails > 0n) {
      yield line({
        kind: 'idle-machines',
        key: day,
        idle_usd: tails,
        loaded_usd: tails,
        all_usd: tails,
      });
    }
    if (storage !== null && storage.amount > 0n) {
      yield line({
        kind: 'storage',
        key: day,
        storage_usd: storage.amount,
        all_usd: storage.amount,
      });
    }
  }
}

function videoRow(video: VideoLine): Row {
  const { videoId, createdAt, tenant, modelRevision, hit, status, backfillId } = video;
  return {
    kind: 'video',
    key: videoId,
    created_at: createdAt,
    tenant,
    model: modelRevision,
    hit: hit ?? '',
    status,
    backfill: backfillId ?? '',
    videos: 1,
    ...countsOf({ [status]: 1 }),
    ...amountsOf(video),
  };
}

function cellsOf(sums: Sums): Row {
  return { videos: sums.videos, ...countsOf(sums.statuses), ...amountsOf(sums) };
}

function countsOf(statuses: Partial<Sums['statuses']>): Row {
  const { completed = 0, failed = 0, cancelled = 0, queued = 0, running = 0 } = statuses;
  return { completed, failed, cancelled, under_way: queued + running };
}

function amountsOf(
  amounts: Amounts & Pick<Sums, 'gpuMilliseconds' | 'stepsRun' | 'stepsFull'>,
): Row {
  return {
    gpu_usd: amounts.gpu,
    requests_usd: amounts.requests,
    total_usd: amounts.total,
    wasted_usd: amounts.wasted,
    idle_usd: amounts.idle,
    cold_start_usd: amounts.coldStart,
    loaded_usd: amounts.loaded,
    all_usd: amounts.loaded,
    full_usd: amounts.full,
    saved_usd: amounts.saved,
    gpu_seconds: (amounts.gpuMilliseconds / 1000).toFixed(3),
    steps_run: amounts.stepsRun,
    steps_full: amounts.stepsFull,
  };
}

/** Columns without user-supplied text, which need no escaping. */
const TRUSTED: ReadonlySet<string> = new Set([
  'kind',
  'created_at',
  'status',
  'hit',
  'gpu_seconds',
]);

function line(row: Row): string {
  const cells = CSV_COLUMNS.map((column) => {
    const cell = row[column];
    if (cell === undefined) return '';
    if (typeof cell === 'bigint') return formatUsd(cell, USD_DIGITS);
    if (typeof cell === 'number' || TRUSTED.has(column)) return String(cell);
    return csvText(cell);
  });
  return `${cells.join(',')}${LINE_END}`;
}

/** Escapes user-supplied text as a cell that spreadsheets treat as text. */
export function csvText(text: string): string {
  const harmless = FORMULA_START.test(text) ? `'${text}` : text;
  const isQuoted = harmless !== text || NEEDS_QUOTES.test(harmless);
  return isQuoted ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
