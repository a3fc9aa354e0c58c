import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Readable } from 'node:stream';
import { InvalidInputError } from '#core/errors.ts';
import { readCsv } from './read-csv.ts';
import { readJsonl } from './read-jsonl.ts';
import { readText } from './read-text.ts';
import type { ReadLine } from './request-line.ts';

type Reader = (source: Readable) => AsyncGenerator<ReadLine>;

const READERS: ReadonlyMap<string, Reader> = new Map([
  ['.txt', readText],
  ['.jsonl', readJsonl],
  ['.csv', readCsv],
]);

/** No text has a zero byte; what is none has one soon. */
const LOOKED_AT_BYTES = 8192;

/**
 * Opens a file of requests; how it is read follows from its name. The file is streamed.
 * @throws InvalidInputError when it is no readable file of a known kind.
 */
export async function openRequests(path: string): Promise<() => AsyncGenerator<ReadLine>> {
  const reader = READERS.get(extname(path).toLowerCase());
  if (reader === undefined) {
    throw new InvalidInputError(
      'file',
      `${path} is of no known kind`,
      `name it ${[...READERS.keys()].map((extension) => `*${extension}`).join(', ')}`,
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
  if (stats.isFile() && (await beginning(path)).includes(0)) {
    throw new InvalidInputError('file', `${path} is not text`, 'save it as UTF-8 text');
  }
  return () => reader(createReadStream(path));
}

async function beginning(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LOOKED_AT_BYTES));
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
