import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import type { TraceRequest } from '#simulation/traces/trace-request.ts';
import { readTrace } from '#readers/read-trace.ts';
import { openRequests } from '../open-requests.ts';
import { importPrompts, type AssumedTimes } from './import-prompts.ts';

export interface OpenedTrace {
  requests: TraceRequest[];
  /** What it says of itself, in a sentence. */
  about: string | null;
  isSynthetic: boolean;
  /** Lines of a plain file that hold no prompt. */
  rejectedLines: number;
}

/** More are not held in memory with their vectors. */
export const MAX_TRACE_REQUESTS = 1_000_000;

/**
 * The requests of a trace (`.jsonl`), or of a plain file of prompts (`.txt`, `.csv`) at assumed times.
 *
 * @throws InvalidInputError naming the line that cannot be read, and why.
 */
export async function openTrace(path: string, times: AssumedTimes): Promise<OpenedTrace> {
  if (extname(path).toLowerCase() !== '.jsonl') {
    const { requests, header, rejected } = await importPrompts(
      basename(path),
      await openRequests(path),
      times,
    );
    const about = header.about ?? null;
    return { requests, about, isSynthetic: false, rejectedLines: rejected.length };
  }
  await requireFile(path);
  const trace: OpenedTrace = { requests: [], about: null, isSynthetic: false, rejectedLines: 0 };
  const onHeader = ({ about, synthetic }: { about?: string; synthetic?: boolean }): void => {
    trace.about = about ?? null;
    trace.isSynthetic = synthetic === true;
  };
  for await (const { request, line } of readTrace(createReadStream(path), { onHeader })) {
    trace.requests.push(request);
    if (trace.requests.length <= MAX_TRACE_REQUESTS) continue;
    throw new InvalidInputError(
      'trace',
      `line ${line}: ${path} has more than ${MAX_TRACE_REQUESTS} requests`,
      'simulate a part of it',
    );
  }
  if (trace.requests.length > 0) return trace;
  throw new InvalidInputError(
    'trace',
    `${path} holds no request`,
    'make one with flexcache trace generate, or turn a file of prompts into one with flexcache trace import',
  );
}

async function requireFile(path: string): Promise<void> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (!(stats instanceof Error) && !stats.isDirectory()) return;
  if (stats instanceof Error && stats.code === 'EACCES') {
    throw new FlexCacheError('permission_denied', `${path} may not be read`, { field: 'trace' });
  }
  throw new InvalidInputError(
    'trace',
    stats instanceof Error ? `${path} is not there` : `${path} is a folder`,
    'name a trace (*.jsonl), or a file of prompts (*.txt, *.csv)',
  );
}
