import { describe, expect, test } from 'vitest';
import type { TraceHeader, TraceRequest } from '#simulation/traces/trace-request.ts';
import { readTrace } from '#readers/read-trace.ts';

const TIME = '2026-01-05T08:00:00Z';
const SECONDS = Date.parse(TIME) / 1000;

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

async function read(text: string): Promise<{ requests: TraceRequest[]; headers: TraceHeader[] }> {
  const requests: TraceRequest[] = [];
  const headers: TraceHeader[] = [];
  const onHeader = (header: TraceHeader): unknown => headers.push(header);
  for await (const { request } of readTrace(bytesOf(text), { onHeader })) requests.push(request);
  return { requests, headers };
}

function line(fields: Record<string, unknown>): string {
  return JSON.stringify({ time: TIME, prompt: 'a red ball', ...fields });
}

describe('a trace', () => {
  test('has its times in ISO 8601 or in epoch seconds', async () => {
    const { requests } = await read(
      [
        line({ time: SECONDS }),
        line({ time: '2026-01-05T09:00:01.5+01:00' }),
        line({ time: SECONDS + 2 }),
      ].join('\n'),
    );
    expect(requests.map(({ time }) => time - SECONDS)).toEqual([0, 1.5, 2]);
  });

  test('says its tenants and seeds, or leaves them out', async () => {
    const { requests } = await read([line({ tenant: 'ada', seed: 7 }), line({})].join('\n'));
    expect(requests).toMatchObject([
      { tenant: 'ada', seed: 7, prompt: 'a red ball', vectors: null },
      { tenant: 'default', seed: null },
    ]);
  });

  test('begins with what it says of itself', async () => {
    const header = { format: 'flexcache-trace/1', synthetic: true, about: 'made up' };
    const { headers, requests } = await read(`${JSON.stringify(header)}\n\n${line({})}\n`);
    expect(headers).toEqual([header]);
    expect(requests).toHaveLength(1);
  });

  test('may bring vectors instead of a prompt, told apart by what they are', async () => {
    const of = (whole: number[]): string =>
      JSON.stringify({ time: TIME, embedding: { whole, object: [0, 1], background: null } });
    const { requests } = await read([of([1, 0]), of([0.6, 0.8]), of([1, 0])].join('\n'));
    expect(requests[0]!.vectors).toEqual({
      whole: Float32Array.of(1, 0),
      object: Float32Array.of(0, 1),
      background: null,
    });
    expect(requests[0]!.prompt).toBe(requests[2]!.prompt);
    expect(requests[0]!.prompt).not.toBe(requests[1]!.prompt);
  });
});

describe('a line that is no request is refused by its number', () => {
  test.each([
    ['no JSON', 'nonsense', /line 2: the line is not JSON/],
    ['no object', '[1]', /line 2: the line is not an object/],
    ['with a misspelt field', line({ tenent: 'a' }), /line 2: there is no field "tenent"/],
    ['without a time', line({ time: undefined }), /line 2: time undefined is no time/],
    [
      'in no calendar',
      line({ time: '2026-02-30T00:00:00Z' }),
      /line 2: time "2026-02-30T00:00:00Z" is no time/,
    ],
    ['without a zone', line({ time: '2026-01-05T08:00:00' }), /line 2: time .* is no time/],
    [
      'with a negative time',
      line({ time: -1 }),
      /line 2: time -1 is not of the years 2000 to 2099/,
    ],
    ['with a time of text', line({ time: 'NaN' }), /line 2: time "NaN" is no time/],
    [
      'before the one before it',
      line({ time: SECONDS - 1 }),
      /line 2: time .* is earlier than .* of line 1/,
    ],
    ['with an empty prompt', line({ prompt: '  ' }), /line 2: prompt is empty/],
    [
      'without a prompt',
      line({ prompt: undefined }),
      /line 2: the line has neither a prompt nor an embedding/,
    ],
    ['with a broken seed', line({ seed: 1.5 }), /line 2: seed 1.5 is not an integer/],
    ['with a strange tenant', line({ tenant: 'a b' }), /line 2: tenant "a b" is not a valid name/],
    [
      'with an embedding where others have none',
      line({ embedding: { whole: [1, 0] } }),
      /line 2: the line has an embedding of 2 numbers, line 1 has no embedding/,
    ],
  ])('%s', async (_, broken, message) => {
    await expect(read([line({}), broken].join('\n'))).rejects.toThrow(message);
  });

  test.each([
    ['of another length than 1', { whole: [1, 1] }, /embedding.whole has length 1.414, not 1/],
    ['with parts of other sizes', { whole: [1, 0], object: [1] }, /embedding.object has 1 numbers/],
    ['without a whole', { object: [1, 0] }, /embedding has no whole/],
    ['with a hole', { whole: [1, null] }, /embedding.whole is no list/],
    ['with a part that nobody knows', { whole: [1, 0], sky: [1, 0] }, /embedding has a part "sky"/],
  ])('an embedding %s', async (_, embedding, message) => {
    await expect(read(line({ embedding }))).rejects.toThrow(message);
  });

  test('and a time in milliseconds is told what it is', async () => {
    await expect(read(line({ time: SECONDS * 1000 }))).rejects.toMatchObject({
      field: 'time',
      fix: expect.stringContaining('divide by 1000'),
    });
  });

  test('and a file of another format is refused', async () => {
    await expect(read('{"format":"flexcache-trace/9"}\n')).rejects.toThrow(
      /line 1: the file is of format "flexcache-trace\/9"/,
    );
  });
});
