import { InvalidInputError } from '#core/errors.ts';
import { namesInJson, requireKnownFields } from './known-fields.ts';
import { readLines } from './read-lines.ts';
import type { ByteSource } from './read-lines.ts';
import { parseRequestFields, rejectLine, REQUEST_FIELDS } from './request-line.ts';
import type { ReadLine, RequestFields } from './request-line.ts';

/** One `{prompt, seed?, cache?, steps?}` a line; another field spoils its line, blank lines are skipped. */
export async function* readJsonl(source: ByteSource): AsyncGenerator<ReadLine> {
  for await (const read of readLines(source)) {
    if ('error' in read) {
      yield read;
      continue;
    }
    if (read.text.trim() === '') continue;
    try {
      yield { line: read.line, request: parseObject(read.text) };
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      yield rejectLine(read.line, read.text, error);
    }
  }
}

function parseObject(text: string): RequestFields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidInputError('line', 'the line is not JSON', 'write {"prompt": "..."}');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidInputError('line', 'the line is not an object', 'write {"prompt": "..."}');
  }
  requireKnownFields('field', namesInJson(text), REQUEST_FIELDS);
  return parseRequestFields(value as Record<string, unknown>);
}
