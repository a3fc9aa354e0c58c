import type { PriceBook } from '#core/pricing/prices.ts';
import { bookOn } from '#core/pricing/prices.ts';
import { reportCsv } from '#core/reports/csv.ts';
import { reportVideos, type ReportSources } from '#core/reports/report.ts';
import type { ObjectStore } from '#ports/objects.ts';

export interface ReportStores {
  sources: ReportSources;
  objects: Pick<ObjectStore, 'put'>;
  book: PriceBook;
}

export interface WrittenDay {
  day: string;
  /** Object keys, in the order of their rows. */
  keys: string[];
  bytes: number;
}

/** Lines per object: about 30 MB, held in memory. */
const LINES_OF_A_PART = 100_000;

/**
 * Writes a day's report by video as CSV and replaces an earlier one:
 *
 *     reports/2026-11-22.csv, and on days with very many videos reports/2026-11-22.2.csv, ...
 *
 * Each object has the header. Rows that belong to no video come last.
 *
 * @param now epoch milliseconds
 */
export async function writeDay(
  { sources, objects, book }: ReportStores,
  day: string,
  now: number,
  linesOfAPart: number = LINES_OF_A_PART,
): Promise<WrittenDay> {
  const written: WrittenDay = { day, keys: [], bytes: 0 };
  const write = async (lines: readonly string[]): Promise<void> => {
    const part = written.keys.length + 1;
    const key = `reports/${day}${part === 1 ? '' : `.${part}`}.csv`;
    const body = Buffer.from(lines.join(''), 'utf8');
    await objects.put(key, body, { contentType: 'text/csv; charset=utf-8' });
    written.keys.push(key);
    written.bytes += body.byteLength;
  };
  const videos = reportVideos(sources, {
    by: 'video',
    range: { from: day, to: day },
    tenant: null,
    book,
    bookOf: (of) => bookOn(book, of),
    now,
  });
  let header: string | undefined;
  let lines: string[] = [];
  for await (const line of reportCsv(videos, 'video')) {
    header ??= line;
    if (lines.length > linesOfAPart) {
      await write(lines);
      lines = [header];
    }
    lines.push(line);
  }
  await write(lines);
  return written;
}
