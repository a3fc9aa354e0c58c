import { InvalidInputError } from '#core/errors.ts';
import { promptForKeys, validatePrompt } from '#core/requests/prompt.ts';
import { validateSeed, validateTenant } from '#core/requests/request.ts';
import {
  TRACE_FORMAT,
  TRACE_TENANT,
  type TraceHeader,
  type TraceRequest,
} from '#simulation/traces/trace-request.ts';
import { namesInJson, requireKnownFields } from './known-fields.ts';
import { readLines, type ByteSource } from './read-lines.ts';
import { parseTraceTime } from './trace-time.ts';
import { parseTraceVectors } from './trace-vectors.ts';

/** A request and where it stands in its file. */
export interface TraceLine {
  /** From 1. */
  line: number;
  request: TraceRequest;
}

export interface ReadTraceOptions {
  /** Told what the file says of itself, before its first request. */
  onHeader?: (header: TraceHeader) => void;
}

/**
 * The requests of a trace, one JSON object a line: `time` (ISO 8601 with its zone, or epoch seconds),
 * `prompt` or `embedding`, and if wanted `tenant` and `seed`. The first line may be a header. Blank lines are skipped. Of the
 * file no more than one line is held.
 *
 * @throws InvalidInputError at the first line that is not a request, or is earlier than the one before,
 * naming the line.
 */
export async function* readTrace(
  source: ByteSource,
  { onHeader }: ReadTraceOptions = {},
): AsyncGenerator<TraceLine> {
  const reader = new TraceReader();
  let isFirst = true;
  for await (const read of readLines(source)) {
    if ('error' in read) throw atLine(read.line, read.error);
    if (read.text.trim() === '') continue;
    const fields = parseObject(read.line, read.text);
    if (isFirst && 'format' in fields) {
      onHeader?.(parseHeader(read.line, fields));
      isFirst = false;
      continue;
    }
    isFirst = false;
    parsing(read.line, () => requireKnownFields('field', namesInJson(read.text), TRACE_FIELDS));
    yield { line: read.line, request: reader.next(read.line, fields) };
  }
}

const TRACE_FIELDS = ['time', 'tenant', 'prompt', 'seed', 'embedding'];

class TraceReader {
  #last: { line: number; time: number } | undefined;
  #first: { line: number; dimensions: number | null } | undefined;

  next(line: number, fields: Record<string, unknown>): TraceRequest {
    const request = parsing(line, () => parseFields(fields));
    this.#checkOrder(line, request.time);
    this.#checkVectors(line, request);
    return request;
  }

  #checkOrder(line: number, time: number): void {
    if (this.#last !== undefined && time < this.#last.time) {
      throw lineError(
        line,
        'time',
        `time ${shownTime(time)} is earlier than ${shownTime(this.#last.time)} of line ${this.#last.line}`,
        'sort the lines by their time',
      );
    }
    this.#last = { line, time };
  }

  #checkVectors(line: number, { vectors }: TraceRequest): void {
    const dimensions = vectors?.whole.length ?? null;
    this.#first ??= { line, dimensions };
    if (dimensions === this.#first.dimensions) return;
    const described = (count: number | null): string =>
      count === null ? 'no embedding' : `an embedding of ${count} numbers`;
    throw lineError(
      line,
      'embedding',
      `the line has ${described(dimensions)}, line ${this.#first.line} has ${described(this.#first.dimensions)}`,
      'give every line an embedding of one model, or none',
    );
  }
}

function parseFields(fields: Record<string, unknown>): TraceRequest {
  const { time, tenant, prompt, seed, embedding } = fields;
  const vectors = isAbsent(embedding) ? null : parseTraceVectors(embedding);
  return {
    time: parseTraceTime(time),
    tenant: isAbsent(tenant) ? TRACE_TENANT : validateTenant(tenant),
    prompt: parsePrompt(prompt, vectors !== null ? JSON.stringify(embedding) : null),
    seed: isAbsent(seed) ? null : validateSeed(seed),
    vectors,
  };
}

/** What has no prompt is told from others by its embedding. */
function parsePrompt(prompt: unknown, embedding: string | null): string {
  if (!isAbsent(prompt)) return validatePrompt(prompt);
  if (embedding !== null) return promptForKeys(embedding);
  throw new InvalidInputError(
    'prompt',
    'the line has neither a prompt nor an embedding',
    'give every line a prompt',
  );
}

function parseHeader(line: number, fields: Record<string, unknown>): TraceHeader {
  if (fields['format'] === TRACE_FORMAT) return fields as unknown as TraceHeader;
  throw lineError(
    line,
    'format',
    `the file is of format ${JSON.stringify(fields['format'])}`,
    `use a trace of format ${TRACE_FORMAT}, or leave the first line out`,
  );
}

function parseObject(line: number, text: string): Record<string, unknown> {
  const example = 'write {"time": "2026-01-01T00:00:00Z", "tenant": "default", "prompt": "..."}';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw lineError(line, 'line', 'the line is not JSON', example);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw lineError(line, 'line', 'the line is not an object', example);
  }
  return value as Record<string, unknown>;
}

function parsing<Value>(line: number, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw atLine(line, error);
  }
}

function atLine(line: number, error: InvalidInputError): InvalidInputError {
  return lineError(line, error.field ?? 'line', error.message, error.fix ?? '', error);
}

function lineError(
  line: number,
  field: string,
  message: string,
  fix: string,
  { code }: { code: InvalidInputError['code'] } = { code: 'invalid_input' },
): InvalidInputError {
  return new InvalidInputError(field, `line ${line}: ${message}`, fix, code);
}

function shownTime(time: number): string {
  return new Date(time * 1000).toISOString();
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}
