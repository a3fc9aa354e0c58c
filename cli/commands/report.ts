import { resolve } from 'node:path';
import { InvalidInputError } from '#core/errors.ts';
import { parseMeasuredPrices, withMeasuredPrices } from '#core/pricing/measured-prices.ts';
import { DEFAULT_PRICE_REGION, bookOn, priceBookOf } from '#core/pricing/prices.ts';
import { embeddedPrices } from '#functions/shared/deployed-prices.ts';
import { reportCsv } from '#core/reports/csv.ts';
import { dayRange } from '#core/reports/day-range.ts';
import { validateGrouping } from '#core/reports/grouping.ts';
import { reportVideos, type ReportQuestion } from '#core/reports/report.ts';
import { validateTenant } from '#core/requests/request.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode } from '../context.ts';
import { withTable, type OpenedTable, type TenantOptions } from '../open-tenants.ts';
import { reportJson } from '../report/report-json.ts';
import { reportTable } from '../report/report-table.ts';
import { checkWritable, writeOutput } from '../output-file.ts';

export const REPORT_FORMATS = ['table', 'csv', 'json', 'html'] as const;

export type ReportFormat = (typeof REPORT_FORMATS)[number];

export interface PeriodOptions extends TenantOptions {
  from?: string;
  to?: string;
  region?: string;
  /** Measured prices, `id=dollars`. */
  override?: string[];
}

export interface ReportOptions extends PeriodOptions {
  by: string;
  tenant?: string;
  format: ReportFormat;
  out?: string;
}

/** Says what videos, machines and storage of some days have cost, and what reuse saved. */
export async function report(context: CliContext, options: ReportOptions): Promise<ExitCode> {
  const by = validateGrouping(options.by);
  const now = Date.now();
  const range = dayRange(options, now);
  const tenant = options.tenant === undefined ? null : validateTenant(options.tenant);
  const out = options.out === undefined ? null : resolve(context.workingDirectory, options.out);
  if (out !== null) await checkWritable(out);
  if (options.region !== undefined) priceBookOf(options.region);
  await withTable(context, options, 'read', async (opened) => {
    const { book, bookOf } = await pricesOf(opened, options);
    const question: ReportQuestion = { by, range, tenant, book, bookOf, now };
    const text = await render(opened, question, options.json ? 'json' : options.format);
    if (out !== null) {
      await writeOutput(out, text);
      context.stderr.write(`flexcache: wrote ${out}\n`);
      return;
    }
    for await (const piece of text) context.stdout.write(piece);
  });
  return EXIT.success;
}

async function render(
  { connection }: OpenedTable,
  question: ReportQuestion,
  format: ReportFormat,
): Promise<AsyncIterable<string>> {
  // The table's client is large: what is refused before is refused at once.
  const { reportSources } = await import('#aws/report-sources.ts');
  const videos = reportVideos(reportSources(connection), question);
  switch (format) {
    case 'table':
      return reportTable(videos);
    case 'csv':
      return reportCsv(videos, question.by);
    case 'json':
      return reportJson(videos, question);
    case 'html': {
      // The charts' library is large: other formats do without it.
      const { reportHtml } = await import('../report/html/report-html.ts');
      return reportHtml(videos);
    }
  }
}

/**
 * The prices that hold: those that this machine charges by, or of the region that was asked for, or
 * of the deployed table's; measured ones in the place of the listed.
 */
export async function pricesOf(
  opened: OpenedTable,
  options: PeriodOptions,
): Promise<Pick<ReportQuestion, 'book' | 'bookOf'>> {
  const measured = parseMeasuredPrices((options.override ?? []).join(','), '--override');
  const isEmbedded = options.table === undefined && options.region === undefined;
  const listed = isEmbedded ? embeddedPrices() : priceBookOf(await regionOf(opened, options));
  const book = withMeasuredPrices(listed, measured);
  return { book, bookOf: (day) => bookOn(book, day) };
}

/**
 * Whose prices hold: those of the region that was asked for, else of the table's.
 *
 * @throws InvalidInputError when a deployed table's region has no price book.
 */
async function regionOf(
  { connection }: OpenedTable,
  { region, table }: PeriodOptions,
): Promise<string> {
  if (region !== undefined || connection.client === undefined)
    return region ?? DEFAULT_PRICE_REGION;
  const deployed = await connection.client.config.region();
  try {
    return priceBookOf(deployed).region;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new InvalidInputError(
      'region',
      `table ${table} is in ${deployed}, of which there is no price book`,
      'say with --region whose prices to take instead',
    );
  }
}
