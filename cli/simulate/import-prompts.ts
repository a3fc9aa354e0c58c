import { InvalidInputError } from '#core/errors.ts';
import {
  TRACE_FORMAT,
  TRACE_TENANT,
  type TraceHeader,
  type TraceRequest,
} from '#simulation/traces/trace-request.ts';
import type { RejectedLine } from '#readers/request-line.ts';
import type { RequestFile } from '../open-requests.ts';

/** Assumed times for files without times. */
export interface AssumedTimes {
  requestsPerDay: number;
  /** ISO 8601. */
  start: string;
}

export const ASSUMED_START = '2026-01-01T00:00:00Z';

/** Rate of a text-to-image service (GenTD26: 24,438 requests in 24 days). */
export const ASSUMED_REQUESTS_PER_DAY = 1018;

const SECONDS_A_DAY = 86_400;
const MAX_REQUESTS_PER_DAY = 1e8;

export interface ImportedPrompts {
  header: TraceHeader;
  requests: TraceRequest[];
  /** Lines without a prompt. */
  rejected: RejectedLine[];
}

/**
 * Reads the prompts of a file in order, evenly spaced in time.
 *
 * @throws InvalidInputError if the rate is out of range or the file has no prompt
 */
export async function importPrompts(
  name: string,
  file: Pick<RequestFile, 'lines'>,
  { requestsPerDay, start }: AssumedTimes,
): Promise<ImportedPrompts> {
  if (!(requestsPerDay > 0 && requestsPerDay <= MAX_REQUESTS_PER_DAY)) {
    throw new InvalidInputError(
      'rate',
      `${requestsPerDay} requests a day is not between 0 and ${MAX_REQUESTS_PER_DAY}`,
      `give requests a day, such as ${ASSUMED_REQUESTS_PER_DAY}`,
    );
  }
  const first = Date.parse(start) / 1000;
  const requests: TraceRequest[] = [];
  const rejected: RejectedLine[] = [];
  for await (const read of file.lines()) {
    if ('error' in read) {
      rejected.push(read);
      continue;
    }
    const time = first + (requests.length * SECONDS_A_DAY) / requestsPerDay;
    requests.push({
      time: Math.round(time * 1000) / 1000,
      tenant: TRACE_TENANT,
      prompt: read.request.prompt,
      seed: read.request.seed ?? null,
      vectors: null,
    });
  }
  if (requests.length === 0) {
    throw new InvalidInputError('file', `${name} has no prompts`, 'write one prompt per line');
  }
  return {
    header: {
      format: TRACE_FORMAT,
      about: `Prompts of ${name} in order. Times are assumed: ${requestsPerDay} a day, evenly spaced, one tenant.`,
      parameters: { requestsPerDay, start, source: name },
    },
    requests,
    rejected,
  };
}
