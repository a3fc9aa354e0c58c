import type { BackfillFormat } from '#core/requests/backfill.ts';
import { readCsv } from './read-csv.ts';
import { readJsonl } from './read-jsonl.ts';
import type { ByteSource } from './read-lines.ts';
import { readText } from './read-text.ts';
import type { ReadLine } from './request-line.ts';

/** More than a hundred thousand prompts; what reads a file holds it in memory. */
export const MAX_REQUESTS_BYTES = 64 * 1024 * 1024;

const READERS: Readonly<Record<BackfillFormat, (source: ByteSource) => AsyncGenerator<ReadLine>>> =
  { txt: readText, jsonl: readJsonl, csv: readCsv };

/**
 * The requests of a file, line by line; a line that cannot be one is handed out with its error.
 *
 * @throws InvalidInputError when the file as a whole cannot be read as this format.
 */
export function readRequests(format: BackfillFormat, source: ByteSource): AsyncGenerator<ReadLine> {
  return READERS[format](source);
}

/** Bytes that are there already, as a source. */
export async function* sourceOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
