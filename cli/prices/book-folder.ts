import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError } from '#core/errors.ts';
import { parsePriceBook } from '#core/pricing/price-book-file.ts';
import { PRICE_REGIONS } from '#core/pricing/prices.ts';
import type { PriceBookFile } from '#core/pricing/update-price-book.ts';
import { parseJson } from '#readers/price-list.ts';
import { writeOutput } from '../output-file.ts';

/** Where the checked-in books are. */
export const PRICE_BOOK_FOLDER = join(import.meta.dirname, '../../layers/core/pricing/prices');

/** @throws InvalidInputError when there is no book of the region. */
export function priceRegion(region: string): string {
  if (PRICE_REGIONS.includes(region)) return region;
  throw new InvalidInputError(
    'region',
    `there is no price book of region "${region}"`,
    `give --region with one of ${PRICE_REGIONS.join(', ')}`,
  );
}

/** A book's JSON, valid. @throws InvalidInputError naming what is wrong with it. */
export async function readBookFile(folder: string, region: string): Promise<PriceBookFile> {
  const path = bookPath(folder, region);
  const json = parseJson(await readFile(path, 'utf8'), path);
  const book = parsePriceBook(json);
  if (book.region === region) return json as PriceBookFile;
  throw new InvalidInputError(
    'region',
    `${path} says that it is the book of ${book.region}`,
    'name each book after its region',
  );
}

/** As Prettier would, so that a diff shows prices alone. */
export async function writeBookFile(folder: string, file: PriceBookFile): Promise<string> {
  const path = bookPath(folder, file.region);
  await writeOutput(path, Buffer.from(`${JSON.stringify(file, null, 2)}\n`));
  return path;
}

function bookPath(folder: string, region: string): string {
  return join(folder, `${region}.json`);
}
