import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { CsvError, parse } from 'csv-parse';
import { dayAt, isDay } from '#core/day.ts';
import { InvalidInputError } from '#core/errors.ts';
import { PICO_USD_PER_USD, type Quantity } from '#core/pricing/money.ts';
import type { BillLine } from '#core/reports/reconcile/bill-line.ts';
import { billedFor } from './bill-names.ts';

/** Columns that are read, as CUR 2.0 calls them (Data Exports, table dictionary); others are ignored. */
const REQUIRED = [
  'line_item_usage_start_date',
  'line_item_line_item_type',
  'line_item_product_code',
  'line_item_usage_type',
  'line_item_usage_amount',
  'line_item_unblended_cost',
] as const;

const OPERATION = 'line_item_operation';
const END = 'line_item_usage_end_date';
const CURRENCY = 'line_item_currency_code';
/** One column with all of them as JSON (CUR 2.0), or a column each (older reports). */
const TAGS = 'resource_tags';
const TAG_PREFIX = /^resource_tags_user_/;

type Row = Record<string, string>;

/**
 * Lines of a Cost and Usage Report as CSV, plain or gzipped: CUR 2.0 of Data Exports, or an older
 * report, whose columns are called `lineItem/UsageType` and the like.
 *
 * @throws InvalidInputError naming the file, the column or the line that cannot be read.
 * @example for await (const line of readBill('cur-00001.csv.gz')) bill.add(line);
 */
export async function* readBill(path: string): AsyncGenerator<BillLine> {
  const parser = parse({
    bom: true,
    columns: (header: string[]) => {
      const columns = header.map(columnName);
      requireColumns(columns);
      return columns;
    },
    relax_quotes: true,
  });
  const isCompressed = await isGzipped(path);
  const file = createReadStream(path);
  const source = isCompressed ? file.pipe(createGunzip()) : file;
  for (const stream of [file, source]) {
    stream.on('error', (error: Error) => parser.destroy(error));
  }
  let line = 1;
  try {
    for await (const row of source.pipe(parser) as AsyncIterable<Row>) {
      line += 1;
      yield billLine(row, line);
    }
  } catch (error) {
    throw asInvalid(error, path);
  } finally {
    file.destroy();
  }
}

function billLine(row: Row, line: number): BillLine {
  const cell = (column: (typeof REQUIRED)[number]): string => row[column] ?? '';
  const day = cell('line_item_usage_start_date').slice(0, '2026-11-22'.length);
  if (!isDay(day)) throw wrongCell(line, 'line_item_usage_start_date', row);
  const currency = row[CURRENCY] ?? 'USD';
  if (currency !== 'USD' && currency !== '') throw wrongCell(line, CURRENCY, row);
  const product = cell('line_item_product_code');
  const usageType = cell('line_item_usage_type');
  const lineItemType = cell('line_item_line_item_type');
  const { group, priceId, times } = billedFor({ product, usageType, lineItemType });
  const used = decimal(row, 'line_item_usage_amount', line);
  const cost = decimal(row, 'line_item_unblended_cost', line);
  return {
    day,
    lastDay: lastDayOf(row, line) ?? day,
    product: product === '' ? lineItemType : product,
    usageType,
    operation: row[OPERATION] ?? '',
    group,
    priceId: used.value < 0n ? null : priceId,
    quantity: { value: used.value, scale: used.scale * BigInt(times) },
    cost: rounded(cost.value * PICO_USD_PER_USD, cost.scale),
    tags: tagsOf(row),
  };
}

/** Ends are not in it any more: what ends at midnight was of the day before. */
function lastDayOf(row: Row, line: number): string | null {
  const end = (row[END] ?? '').trim();
  if (end === '') return null;
  const time = Date.parse(`${end.replace(' ', 'T').replace(/\.\d+|Z$/g, '')}Z`);
  if (Number.isNaN(time)) throw wrongCell(line, END, row);
  return dayAt(time - 1);
}

const DECIMAL = /^(-?)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,3}))?$/;

/** A number as it is written, every digit of it; an empty cell is none of it. */
function decimal(row: Row, column: (typeof REQUIRED)[number], line: number): Quantity {
  const text = (row[column] ?? '').trim();
  const match = DECIMAL.exec(text === '' ? '0' : text);
  const [, sign, whole = '', fraction = '', exponent = '0'] = match ?? [];
  if (match === null || whole + fraction === '') throw wrongCell(line, column, row);
  const digits = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n);
  const power = Number(exponent) - fraction.length;
  return power >= 0
    ? { value: digits * 10n ** BigInt(power), scale: 1n }
    : { value: digits, scale: 10n ** BigInt(-power) };
}

/** Half away from zero. */
function rounded(value: bigint, scale: bigint): bigint {
  const half = value < 0n ? -scale : scale;
  return (2n * value + half) / (2n * scale);
}

/** `user_project` of CUR 2.0 and `user:project` of older reports are the tag `project`. */
function tagsOf(row: Row): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const [column, value] of Object.entries(row)) {
    if (TAG_PREFIX.test(column) && value !== '') tags[column.replace(TAG_PREFIX, '')] = value;
  }
  const map = row[TAGS] ?? '';
  if (map === '') return tags;
  for (const [, key, value] of map.matchAll(/"(?:user[:_])?([^"]+)"\s*:\s*"([^"]*)"/g)) {
    tags[key!] = value!;
  }
  return tags;
}

/** `lineItem/UsageType` and `resourceTags/user:project` as CUR 2.0 would call them. */
function columnName(header: string): string {
  return header
    .trim()
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/[/:]/g, '_')
    .toLowerCase();
}

function requireColumns(columns: readonly string[]): void {
  const missing = REQUIRED.find((column) => !columns.includes(column));
  if (missing === undefined) return;
  throw new InvalidInputError(
    'file',
    `the file has no column ${missing}`,
    'export CUR 2.0 as CSV with all its line_item columns',
  );
}

function wrongCell(line: number, column: string, row: Row): InvalidInputError {
  return new InvalidInputError(
    'file',
    `line ${line}: ${column} is ${JSON.stringify(row[column] ?? '')}`,
    column === CURRENCY ? 'only bills in USD can be compared' : 'export the file again',
  );
}

async function isGzipped(path: string): Promise<boolean> {
  try {
    await using file = await open(path);
    const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return buffer[0] === 0x1f && buffer[1] === 0x8b;
  } catch (error) {
    throw asInvalid(error, path);
  }
}

function asInvalid(error: unknown, path: string): unknown {
  if (error instanceof InvalidInputError) return error;
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'EISDIR' || code === 'EACCES') {
    const what = { ENOENT: 'is not there', EISDIR: 'is a folder', EACCES: 'may not be read' }[code];
    return new InvalidInputError('file', `${path} ${what}`, 'name a Cost and Usage Report as CSV');
  }
  if (error instanceof CsvError || code.startsWith('Z_')) {
    return new InvalidInputError(
      'file',
      `${path} is damaged: ${(error as Error).message}`,
      'export it again as CSV, plain or gzipped',
    );
  }
  return error;
}
