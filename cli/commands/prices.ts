import { dayAt } from '#core/day.ts';
import { checkPrices, isWrong, type PriceFinding } from '#core/pricing/check-prices.ts';
import { InvalidInputError } from '#core/errors.ts';
import { parseMeasuredPrices, withMeasuredPrices } from '#core/pricing/measured-prices.ts';
import { formatUsd } from '#core/pricing/money.ts';
import { parsePriceBook } from '#core/pricing/price-book-file.ts';
import type { PriceId } from '#core/pricing/price-ids.ts';
import { bookOn, DEFAULT_PRICE_REGION, PRICE_REGIONS, type Price } from '#core/pricing/prices.ts';
import { updatePriceBook, type PriceChange } from '#core/pricing/update-price-book.ts';
import { findListedPrice, listedNameOf, regionsIn } from '#readers/match-price-list.ts';
import type { ListedProduct } from '#readers/price-list.ts';
import { EXIT, type CliContext, type ExitCode } from '../context.ts';
import {
  PRICE_BOOK_FOLDER,
  priceRegion,
  readBookFile,
  writeBookFile,
} from '../prices/book-folder.ts';
import { fetchListed, readListedFile } from '../prices/read-listed.ts';

export interface ShowPricesOptions {
  region?: string;
  filter?: string;
  day?: string;
  override?: string[];
  json?: boolean;
  books?: string;
}

/** Lists the prices of a region, as of a day, measured ones in their places. */
export async function showPrices(
  { stdout }: CliContext,
  options: ShowPricesOptions,
): Promise<ExitCode> {
  const { filter = '', override = [], json = false } = options;
  const region = priceRegion(options.region ?? DEFAULT_PRICE_REGION);
  const listed = parsePriceBook(await readBookFile(options.books ?? PRICE_BOOK_FOLDER, region));
  const then = options.day === undefined ? listed : bookOn(listed, options.day);
  const book = withMeasuredPrices(then, parseMeasuredPrices(override.join(','), '--override'));
  const shown = [...book.prices.values()].filter(({ id }) =>
    id.toLowerCase().includes(filter.toLowerCase()),
  );
  if (shown.length === 0) {
    throw new InvalidInputError(
      '--filter',
      `no price of ${region} has "${filter}" in its name`,
      'leave it out to see all of them',
    );
  }
  if (json) {
    for (const price of shown) stdout.write(`${JSON.stringify(priceReport(region, price))}\n`);
    return EXIT.success;
  }
  const idWidth = Math.max(...shown.map(({ id }) => id.length));
  const amountWidth = Math.max(...shown.map(({ amount }) => formatUsd(amount).length));
  for (const price of shown) {
    const { id, amount, unit } = price;
    const cells = [id.padEnd(idWidth), `$${formatUsd(amount).padEnd(amountWidth)}`, `a ${unit}`];
    stdout.write(`${cells.join('  ')}${remark(price)}\n`);
  }
  stdout.write(`${shown.length} prices of ${region}, put together ${book.asOf}\n`);
  return EXIT.success;
}

export interface CheckPricesOptions {
  staleMonths?: string;
  json?: boolean;
  books?: string;
}

const DEFAULT_STALE_MONTHS = '12';

/** Checks all books; fails when something in them is wrong. */
export async function checkPriceBooks(
  { stdout }: CliContext,
  { staleMonths = DEFAULT_STALE_MONTHS, json = false, books: folder }: CheckPricesOptions,
): Promise<ExitCode> {
  if (!/^[1-9]\d{0,2}$/.test(staleMonths)) {
    throw new InvalidInputError(
      '--stale-months',
      `--stale-months ${JSON.stringify(staleMonths)} is not a whole number of months`,
      'give 1 to 999 months',
    );
  }
  const books = [];
  for (const region of PRICE_REGIONS) {
    books.push(parsePriceBook(await readBookFile(folder ?? PRICE_BOOK_FOLDER, region)));
  }
  const findings = checkPrices(books, {
    today: dayAt(Date.now()),
    staleMonths: Number(staleMonths),
  });
  const count = (kind: PriceFinding['kind']): number =>
    findings.filter((finding) => finding.kind === kind).length;
  for (const finding of findings) {
    if (json) stdout.write(`${JSON.stringify(finding)}\n`);
    else if (finding.kind !== 'uncertain') {
      stdout.write(`${finding.kind}  ${finding.region} ${finding.priceId} ${finding.message}\n`);
    }
  }
  const wrong = findings.filter(isWrong).length;
  if (!json) {
    const prices = books.reduce((sum, book) => sum + book.prices.size, 0);
    stdout.write(
      `${books.length} books, ${prices} prices: ${wrong} wrong, ${count('stale')} older than ${staleMonths} months, ${count('uncertain')} remembered or derived (see --json)\n`,
    );
  }
  return wrong === 0 ? EXIT.success : EXIT.failed;
}

export interface UpdatePricesOptions {
  region: string;
  from?: string[];
  aws?: boolean;
  write?: boolean;
  json?: boolean;
  books?: string;
}

/** Holds a book against AWS's price list, and writes what differs when asked to. */
export async function updatePrices(
  { stdout, stderr }: CliContext,
  options: UpdatePricesOptions,
): Promise<ExitCode> {
  const { from = [], aws = false, write = false, json = false } = options;
  const region = priceRegion(options.region);
  if (from.length > 0 === aws) {
    throw new InvalidInputError(
      '--from',
      aws ? 'both --from and --aws are given' : 'neither --from nor --aws is given',
      'give --from FILE with a price list of AWS, or --aws to ask it',
    );
  }
  const folder = options.books ?? PRICE_BOOK_FOLDER;
  const file = await readBookFile(folder, region);
  const ids = [...parsePriceBook(file).prices.keys()] as PriceId[];
  const products = aws ? await fetchListed(ids, region) : await readFiles(from);
  const found = ids.flatMap((id) => findListedPrice(products, id, region) ?? []);
  if (found.length === 0) {
    throw new InvalidInputError(
      '--from',
      `none of the ${products.length} products is a price of ${region} that the book has`,
      `give a list of ${region}; these are of ${regionsIn(products).join(', ') || 'no region'}`,
    );
  }
  const { file: updated, changes } = updatePriceBook(file, found);
  for (const change of changes) {
    stdout.write(json ? `${JSON.stringify(changeReport(change))}\n` : changeLine(change));
  }
  const unseen = ids.filter((id) => !found.some((price) => price.id === id));
  const unnamed = unseen.filter((id) => listedNameOf(id) === null);
  stderr.write(
    `${found.length} prices of ${region} are in the list, ${unseen.length} are not (${unnamed.length} of them never: Spot, and what it calls otherwise)\n`,
  );
  if (write) stderr.write(`written to ${await writeBookFile(folder, updated)}\n`);
  else stderr.write('nothing is written without --write\n');
  return EXIT.success;
}

async function readFiles(paths: readonly string[]): Promise<ListedProduct[]> {
  const products: ListedProduct[] = [];
  for (const path of paths) products.push(...(await readListedFile(path)));
  return products;
}

function changeLine({ id, kind, before, after, price }: PriceChange): string {
  const amounts =
    before === after
      ? `$${formatUsd(after)}`
      : `$${formatUsd(before)} -> $${formatUsd(after)}${kind === 'changed' ? ` from ${price.effectiveOn}` : ''}`;
  const { service, publishedOn, rateCode } = price;
  return `${kind.padEnd('corrected'.length)}  ${id}  ${amounts}  (${service} ${publishedOn}, ${rateCode})\n`;
}

function changeReport({ id, kind, before, after, price }: PriceChange) {
  const { rateCode, service, effectiveOn, publishedOn } = price;
  return {
    id,
    kind,
    before: formatUsd(before),
    after: formatUsd(after),
    rateCode,
    service,
    effectiveOn,
    publishedOn,
  };
}

function priceReport(region: string, price: Price) {
  const { id, amount, unit, source, asOf, rateCode, uncertain, range, history, free } = price;
  return {
    region,
    id,
    usd: formatUsd(amount),
    unit,
    source,
    asOf,
    rateCode: rateCode ?? null,
    uncertain: uncertain === true,
    range: range === undefined ? null : { low: formatUsd(range.low), high: formatUsd(range.high) },
    history: (history ?? []).map((past) => ({
      ...past,
      amount: undefined,
      usd: formatUsd(past.amount),
    })),
    free: free ?? null,
  };
}

function remark({ asOf, uncertain, range, rateCode }: Price): string {
  const remarks = [
    `as of ${asOf}`,
    ...(uncertain === true ? ['uncertain'] : []),
    ...(range === undefined ? [] : [`of $${formatUsd(range.low)} to $${formatUsd(range.high)}`]),
    ...(rateCode === undefined ? [] : [rateCode]),
  ];
  return `  (${remarks.join(', ')})`;
}
