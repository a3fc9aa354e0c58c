import { resolve } from 'node:path';
import { dayAt } from '#core/day.ts';
import { InvalidInputError } from '#core/errors.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { Bill, type BillFilter } from '#core/reports/reconcile/reconcile.ts';
import { dayRange, type DayRange } from '#core/reports/day-range.ts';
import { makeReport } from '#core/reports/report.ts';
import { readBill } from '#readers/read-bill.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode } from '../context.ts';
import { withTable } from '../open-tenants.ts';
import { reconcileJson, reconcileTable } from '../report/reconcile-text.ts';
import { pricesOf, type PeriodOptions } from './report.ts';

export interface ReconcileOptions extends PeriodOptions {
  /** `key=value`. */
  tag?: string;
}

/** Sets the report of some days beside what AWS has billed for them, and says where they part. */
export async function reconcile(
  context: CliContext,
  file: string,
  options: ReconcileOptions,
): Promise<ExitCode> {
  const path = resolve(context.workingDirectory, file);
  const tag = options.tag === undefined ? undefined : parseTag(options.tag);
  if (options.region !== undefined) priceBookOf(options.region);
  const now = Date.now();
  const range = dayRange({ ...(await daysOfBill(path, options, now)), ...given(options) }, now);
  return withTable(context, options, 'read', async (opened) => {
    const { book, bookOf } = await pricesOf(opened, options);
    const filter: BillFilter = { ...range, ...(tag !== undefined && { tag }) };
    const bill = new Bill(filter, bookOf);
    for await (const line of readBill(path)) bill.add(line);
    const { reportSources } = await import('#aws/report-sources.ts');
    const report = await makeReport(reportSources(opened.connection), {
      by: 'day',
      range,
      tenant: null,
      book,
      bookOf,
      now,
    });
    const reconciliation = bill.against(report);
    context.stdout.write(
      options.json === true ? reconcileJson(reconciliation) : reconcileTable(reconciliation),
    );
    return EXIT.success;
  });
}

function given({ from, to }: PeriodOptions): Partial<DayRange> {
  return { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
}

/** The days that a bill is of, where nobody says which of them are meant. */
async function daysOfBill(
  path: string,
  { from, to }: PeriodOptions,
  now: number,
): Promise<Partial<DayRange>> {
  if (from !== undefined && to !== undefined) return {};
  const today = dayAt(now);
  let first: string | undefined;
  let last: string | undefined;
  for await (const { day, lastDay } of readBill(path)) {
    if (first === undefined || day < first) first = day;
    if (last === undefined || lastDay > last) last = lastDay;
  }
  if (first === undefined || last === undefined) {
    throw new InvalidInputError('file', `${path} has no lines`, 'export it again');
  }
  return { from: first, to: last < today ? last : today };
}

function parseTag(text: string): NonNullable<BillFilter['tag']> {
  const [, key, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (key !== undefined && value !== undefined) return { key, value };
  throw new InvalidInputError(
    'tag',
    `${JSON.stringify(text)} is not a tag`,
    'give its key and its value, as project=flexcache',
  );
}
