import fc from 'fast-check';
import { expect, test } from 'vitest';
import { useApi } from './fixture.ts';

const api = useApi();

const RUNS = 60;
const SEED = 20_261_129;

/** Ends of what a double, a DynamoDB number and a fraction in JSON can be. */
const EDGES = [-0, 0, 5e-324, 2e-267, 1e-200, 9e-131, 1e-130, 1.1e-130, 1e-17, 0.1 + 0.2, 1 / 3];

function numberUpTo(highest: number): fc.Arbitrary<number> {
  return fc.oneof(
    fc.constantFrom(...EDGES, highest, highest * (1 - Number.EPSILON)),
    fc.double({ min: 0, max: highest, noNaN: true }),
    fc.integer({ min: 0, max: 323 }).map((exponent) => Number(`1e-${exponent}`)),
  );
}

function partly<Fields extends Record<string, fc.Arbitrary<unknown>>>(
  fields: Fields,
): fc.Arbitrary<object> {
  return fc.record(fields, { requiredKeys: [] });
}

/** Texts in any script, with white space of any kind; no half of a pair, no control beside it. */
function textOf(constraints: fc.StringConstraints): fc.Arbitrary<string> {
  const unit = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
    fc.constantFrom(
      '\t',
      '\n',
      '\r',
      '\u0085',
      '\u2028',
      '"',
      '\\',
      '\u{10ffff}',
      '\uffff',
      '\ufdfa',
    ),
  );
  return fc.string({ ...constraints, unit });
}

const prompt = textOf({ maxLength: 30 }).map((text) => `ball ${text}`);
const labels = fc.dictionary(
  fc.oneof(
    textOf({ minLength: 1, maxLength: 10 }),
    fc.constantFrom('constructor', 'prototype', 'toString', '$ref', '#a', ':b'),
  ),
  textOf({ maxLength: 20 }),
  { maxKeys: 5, noNullPrototype: true },
);
const shares = { min_similarity: numberUpTo(1), max_reuse: numberUpTo(1) };
const extensions = {
  ...shares,
  metadata: labels,
  cache: fc.constantFrom('auto', 'readonly', 'refresh', 'off'),
  scope: fc.constantFrom('tenant', 'shared'),
  steps: fc.integer({ min: 1, max: 200 }),
};
const seed = fc.oneof(fc.constantFrom(-0, 0, 2 ** 32 - 1), fc.nat());

/** As JSON writes it: with the zeros' signs, which `JSON.stringify` leaves out. */
function jsonOf(body: object): string {
  return JSON.stringify(body, (_, value: unknown) =>
    Object.is(value, -0) ? '<negative zero>' : value,
  ).replaceAll('"<negative zero>"', '-0.0');
}

function near(asked: number): unknown {
  return asked < 1e-130 ? 0 : asked;
}

test('a video with any numbers and texts that the schema admits is stored, read and found again as it was asked for', async () => {
  const { call } = api();
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      prompt,
      seed,
      partly(extensions),
      fc.boolean(),
      async (text, number, fields, isApart) => {
        const asked = { seed: number, ...fields };
        const body = jsonOf({ prompt: text, ...(isApart ? { extra_params: asked } : asked) });
        const send = (): ReturnType<typeof call> =>
          call('POST', '/v1/videos', {
            body,
            headers: { 'content-type': 'application/json', 'idempotency-key': `video-${count}` },
          });
        count += 1;

        const created = await send();
        const again = await send();
        const read = await call('GET', `/v1/videos/${created.body.id}`);

        expect([created.status, created.body.error]).toEqual([200, null]);
        expect([again.status, again.body.id]).toEqual([200, created.body.id]);
        expect(read.body).toEqual(created.body);
        const {
          min_similarity: least = 0,
          max_reuse: most = 1,
          metadata = {},
        } = fields as {
          min_similarity?: number;
          max_reuse?: number;
          metadata?: object;
        };
        expect(read.body).toMatchObject({ min_similarity: near(least), max_reuse: near(most) });
        expect(read.body.metadata).toEqual(metadata);
      },
    ),
    { numRuns: RUNS, seed: SEED },
  );
}, 120_000);

test('a backfill with any numbers and texts that the schema admits is stored and found again', async () => {
  const { call } = api();
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(prompt, fc.record({ prompt, seed })), { minLength: 1, maxLength: 3 }),
      partly({ ...extensions, tolerated_failure_percentage: numberUpTo(100) }),
      async (prompts, fields) => {
        const body = jsonOf({ prompts, ...fields });
        const send = (): ReturnType<typeof call> =>
          call('POST', '/v1/backfills', {
            body,
            headers: { 'content-type': 'application/json', 'idempotency-key': `file-${count}` },
          });
        count += 1;

        const created = await send();
        const again = await send();

        expect([created.status, created.body.error]).toEqual([200, null]);
        expect([again.status, again.body.id]).toEqual([200, created.body.id]);
        const { tolerated_failure_percentage: tolerated = 100 } = fields as {
          tolerated_failure_percentage?: number;
        };
        expect(again.body.tolerated_failure_percentage).toBe(near(tolerated));
      },
    ),
    { numRuns: RUNS, seed: SEED },
  );
}, 120_000);

test('a prompt, a label or an address with a lone surrogate or a control character is refused by name', async () => {
  const { call } = api();
  const wrong = fc
    .oneof(
      fc.integer({ min: 0, max: 0x1f }),
      fc.integer({ min: 0x7f, max: 0x9f }),
      fc.integer({ min: 0xd800, max: 0xdfff }),
    )
    .filter((code) => !'\t\n\v\f\r\u0085'.includes(String.fromCharCode(code)));
  const field = fc.constantFrom('prompt', 'prompts[0]', 'metadata.a', 'webhook');
  await fc.assert(
    fc.asyncProperty(wrong, field, fc.string(), fc.string(), async (code, param, before, after) => {
      const text = `a${before} ${String.fromCharCode(code)} ${after}`;
      const bodies: Record<string, object> = {
        prompt: { prompt: text },
        'prompts[0]': { prompts: [text] },
        'metadata.a': { prompt: 'a ball', metadata: { a: text } },
        webhook: { prompt: 'a ball', webhook: `https://example.com/${text}` },
      };
      const path = param === 'prompts[0]' ? '/v1/backfills' : '/v1/videos';

      const { status, body } = await call('POST', path, { json: bodies[param] });

      expect([status, body.error.code, body.error.param]).toEqual([400, 'invalid_input', param]);
      const name = code.toString(16).toUpperCase().padStart(4, '0');
      expect(body.error.message).toContain(`U+${name}`);
    }),
    { numRuns: RUNS, seed: SEED },
  );
}, 120_000);

test.each([
  '{"prompt":"a ball","__proto__":{"seed":1}}',
  '{"prompt":"a ball","metadata":{"__proto__":"x"}}',
  '{"prompt":"a ball","extra_params":{"__proto__":{"seed":1}}}',
])('a name that no object keeps is refused and not forgotten: %s', async (body) => {
  const answer = await api().call('POST', '/v1/videos', {
    body,
    headers: { 'content-type': 'application/json' },
  });

  expect([answer.status, answer.body.error.param]).toEqual([400, '__proto__']);
});
