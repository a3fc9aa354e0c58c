/**
 * Sends generated requests, made from the API's own schemas and mutations of them, to the API in this
 * process: none may be answered with a 5xx, with a body that its schema does not know, or not at all.
 *
 *     node bench/fuzz-api.ts --count 100000 --seed 1
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { createApi } from '#functions/api/app.ts';
import { errorSchema } from '#functions/api/schemas/service.ts';
import { hostileRequest, type HostileRequest } from './hostile-requests.ts';
import { memoryApi } from './memory-api.ts';

export interface FuzzReport {
  count: number;
  /** How often each status was answered. */
  statuses: Record<string, number>;
  slowestMilliseconds: number;
}

/** Nothing that is only checked takes this long. */
const HANGS_AFTER_MILLISECONDS = 10_000;

/** @throws Error with the smallest request that was answered wrongly, and the seed that finds it again. */
export async function fuzzApi({
  count,
  seed,
}: {
  count: number;
  seed: number;
}): Promise<FuzzReport> {
  const { services, key, faults, newest } = await memoryApi();
  const api = createApi(services);
  const statuses: Record<string, number> = {};
  let slowest = 0;
  await fc.assert(
    fc.asyncProperty(hostileRequest, async (hostile) => {
      const { videoId, backfillId } = newest();
      const there = hostile.endpoint.tag === 'backfills' ? backfillId : videoId;
      const began = performance.now();
      const response = await inTime(api.fetch(requestOf(hostile, there ?? 'nothing', key)));
      const fault = faults.pop()?.error;
      if (fault !== undefined) throw fault;
      await checkAnswer(hostile, response);
      slowest = Math.max(slowest, performance.now() - began);
      statuses[response.status] = (statuses[response.status] ?? 0) + 1;
    }),
    { numRuns: count, seed, endOnFailure: count > 10_000 },
  );
  return { count, statuses, slowestMilliseconds: Math.round(slowest) };
}

async function inTime(answered: Response | Promise<Response>): Promise<Response> {
  const { promise: hangs, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('no answer')), HANGS_AFTER_MILLISECONDS);
  try {
    return await Promise.race([answered, hangs]);
  } finally {
    clearTimeout(timer);
  }
}

function requestOf(
  { endpoint, id, query, headers, body }: HostileRequest,
  there: string,
  key: string,
): Request {
  const named = id === 'newest' ? there : encodeURIComponent(id.text.toWellFormed());
  const path = endpoint.path.replace('{id}', () => named);
  return new Request(`http://127.0.0.1${path}${query === '' ? '' : `?${query}`}`, {
    method: endpoint.method.toUpperCase(),
    headers: { authorization: `Bearer ${key}`, ...headers },
    ...(body !== undefined && { body }),
  });
}

async function checkAnswer({ endpoint }: HostileRequest, response: Response): Promise<void> {
  const { status } = response;
  if (status >= 500) throw new Error(`status ${status}: ${await response.text()}`);
  if (status === 302) return;
  const body: unknown = await response.json();
  if (status >= 400) errorSchema.parse(body);
  else if (endpoint.answer.status === 200) endpoint.answer.schema.parse(body);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { count: { type: 'string', default: '100000' }, seed: { type: 'string' } },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const began = performance.now();
  const report = await fuzzApi({ count: Number(values.count), seed });
  const seconds = Math.round((performance.now() - began) / 1000);
  process.stdout.write(`${JSON.stringify({ seed, seconds, ...report })}\n`);
}
