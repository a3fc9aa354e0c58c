import { CsvError } from 'csv-parse';
import { parse } from 'csv-parse/sync';
import { InvalidInputError } from '#core/errors.ts';
import { requireKnownFields } from './known-fields.ts';
import { readLines } from './read-lines.ts';
import type { ByteSource } from './read-lines.ts';
import { parseRequestFields, rejectLine, REQUEST_FIELDS } from './request-line.ts';
import type { ReadLine, RequestFields } from './request-line.ts';

/**
 * CSV with a header that names `prompt` and, if wanted, `seed`, `cache` and `steps`, each once.
 * Each line is parsed alone, so that an open quote spoils its own line and no other.
 *
 * @throws InvalidInputError when the header has no `prompt`, a column that is not known, or one twice.
 */
export async function* readCsv(source: ByteSource): AsyncGenerator<ReadLine> {
  let columns: string[] | undefined;
  for await (const read of readLines(source)) {
    if ('error' in read) {
      yield read;
      continue;
    }
    if (read.text.trim() === '') continue;
    if (columns === undefined) {
      columns = parseHeader(read.text);
      continue;
    }
    try {
      yield { line: read.line, request: parseRow(columns, read.text) };
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      yield rejectLine(read.line, read.text, error);
    }
  }
}

function parseHeader(text: string): string[] {
  const columns = splitFields(text).map((column) => column.trim().toLowerCase());
  if (!columns.includes('prompt')) {
    throw new InvalidInputError(
      'file',
      `the first line names no column "prompt", but ${columns.join(', ')}`,
      'begin the file with a header such as prompt,seed',
    );
  }
  requireKnownFields('column', columns, REQUEST_FIELDS);
  return columns;
}

function parseRow(columns: readonly string[], text: string): RequestFields {
  const fields = splitFields(text);
  if (fields.length > columns.length) {
    throw new InvalidInputError(
      'line',
      `the line has ${fields.length} fields, the header ${columns.length}`,
      'put a prompt with a comma in double quotes',
    );
  }
  return parseRequestFields(
    Object.fromEntries(fields.map((field, index) => [columns[index], field])),
  );
}

function splitFields(text: string): string[] {
  try {
    return parse(text, { relax_column_count: true })[0] ?? [];
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new InvalidInputError(
      'line',
      'the quotes of the line do not match',
      'put the whole field in double quotes on one line and double those inside',
    );
  }
}
