import { InvalidInputError } from '#core/errors.ts';
import { readLines } from './read-lines.ts';
import type { ByteSource } from './read-lines.ts';
import { parseRequestFields, rejectLine } from './request-line.ts';
import type { ReadLine } from './request-line.ts';

/** A prompt a line; blank lines and lines that begin with `#` are skipped. */
export async function* readText(source: ByteSource): AsyncGenerator<ReadLine> {
  for await (const read of readLines(source)) {
    if ('error' in read) {
      yield read;
      continue;
    }
    const prompt = read.text.trim();
    if (prompt === '' || prompt.startsWith('#')) continue;
    try {
      yield { line: read.line, request: parseRequestFields({ prompt }) };
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      yield rejectLine(read.line, prompt, error);
    }
  }
}
