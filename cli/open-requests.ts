import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { BACKFILL_FORMATS, type BackfillFormat } from '#core/requests/backfill.ts';
import { InvalidInputError } from '#core/errors.ts';
import { MAX_REQUESTS_BYTES, readRequests, sourceOf } from '#readers/read-requests.ts';
import type { ReadLine } from '#readers/request-line.ts';

/** A file of requests. */
export interface RequestFile {
  format: BackfillFormat;
  content: Uint8Array;
  /** From the first line, at every call. */
  lines(): AsyncGenerator<ReadLine>;
}

/** No text has a zero byte; what is none has one soon. */
const LOOKED_AT_BYTES = 8192;

/**
 * Reads a file of requests; what it is follows from its name.
 * @throws InvalidInputError when it is no readable file of a known kind.
 */
export async function openRequests(path: string): Promise<RequestFile> {
  const extension = extname(path).toLowerCase();
  const format = BACKFILL_FORMATS.find((known) => extension === `.${known}`);
  if (format === undefined) {
    throw new InvalidInputError(
      'file',
      `${path} is of no known kind`,
      `name it ${BACKFILL_FORMATS.map((known) => `*.${known}`).join(', ')}`,
    );
  }
  const stats = await stat(path).catch(() => null);
  if (stats === null || stats.isDirectory()) {
    throw new InvalidInputError(
      'file',
      stats === null ? `${path} is not there` : `${path} is a folder`,
      'name a file of prompts',
    );
  }
  if (stats.size > MAX_REQUESTS_BYTES) {
    throw new InvalidInputError(
      'file',
      `${path} has ${stats.size} bytes; at most ${MAX_REQUESTS_BYTES} are read`,
      'split it into smaller files',
    );
  }
  const content = await readFile(path);
  if (content.subarray(0, LOOKED_AT_BYTES).includes(0)) {
    throw new InvalidInputError('file', `${path} is not text`, 'save it as UTF-8 text');
  }
  return { format, content, lines: () => readRequests(format, sourceOf(content)) };
}
