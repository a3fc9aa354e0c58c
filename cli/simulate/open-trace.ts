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
  /** Description from the trace header. */
  about: string | null;
  isSynthetic: boolean;
  /** Lines of a plain file without a prompt. */
  rejectedLines: number;
}

/** Limit of requests that fit into memory with their vectors. */
export const MAX_TRACE_REQUESTS = 1_000_000;

/**
 * Opens a trace (`.jsonl`), or a plain file of prompts (`.txt`, `.csv`) at assumed times.
 *
 * @throws InvalidInputError that names the unreadable line and the reason
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
      'simulate part of it',
    );
  }
  if (trace.requests.length > 0) return trace;
  throw new InvalidInputError(
    'trace',
    `${path} has no requests`,
    'generate a trace with flexcache trace generate, or import prompts with flexcache trace import',
  );
}

async function requireFile(path: string): Promise<void> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (!(stats instanceof Error) && !stats.isDirectory()) return;
  if (stats instanceof Error && stats.code === 'EACCES') {
    throw new FlexCacheError('permission_denied', `no permission to read ${path}`, {
      field: 'trace',
    });
  }
  throw new InvalidInputError(
    'trace',
    stats instanceof Error ? `${path} does not exist` : `${path} is a folder`,
    'name a trace (*.jsonl), or a file of prompts (*.txt, *.csv)',
  );
}
