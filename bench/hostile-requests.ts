import fc, { type Arbitrary } from 'fast-check';
import { ENDPOINTS } from '#functions/api/endpoints.ts';
import type { Endpoint } from '#functions/api/endpoint.ts';
import { openApiDocument } from '#functions/api/openapi.ts';
import { MANIFEST } from '../test/denoiser/fakes.ts';

/** A request as it goes over the wire. */
export interface HostileRequest {
  endpoint: Endpoint;
  /** What the path names: something that is there, or this. */
  id: 'newest' | { text: string };
  query: string;
  headers: Record<string, string>;
  body: string | Uint8Array<ArrayBuffer> | FormData | undefined;
}

interface Schema {
  type?: string | string[];
  enum?: unknown[];
  anyOf?: Schema[];
  $ref?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  minimum?: number;
  maximum?: number;
}

interface Operation {
  requestBody?: { content: Record<string, { schema: Schema }> };
}

const DOCUMENT = openApiDocument(MANIFEST) as {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};

/** Names that mean something to JavaScript, and characters that mean something to somebody. */
const AWKWARD_TEXTS = [
  '',
  ' ',
  '\u0000',
  '\ud800',
  '\u202e',
  '\ufdfa',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'null',
  'NaN',
  '{}',
  '[]',
  '-0',
  '1e999',
  '../..',
  '%00',
  '%zz',
  "'; DROP TABLE videos; --",
  '${jndi:ldap://x}',
  'x'.repeat(5000),
];

const awkwardText = fc.oneof(
  fc.constantFrom(...AWKWARD_TEXTS),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
);

const awkwardNumber = fc.oneof(
  fc.constantFrom(0, -0, -1, 0.5, 1e308, -1e308, 5e-324, 2 ** 32, 2 ** 53 + 2),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
);

const awkwardValue: Arbitrary<unknown> = fc.oneof(
  awkwardText,
  awkwardNumber,
  fc.constantFrom(null, true, false, [], {}, [[]], [{}]),
  fc.jsonValue({ maxDepth: 4 }),
);

/** Values that are likely to be taken, where a schema alone would hardly find them. */
const SENSIBLE: Readonly<Record<string, Arbitrary<unknown>>> = {
  prompt: fc.oneof(
    fc.constantFrom('a red ball', 'ein Stern über dem Meer', '球', 'a'.repeat(2000)),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
  ),
  model: fc.constant('demo-world'),
  seconds: fc.constantFrom('2', 2, '2.0'),
  size: fc.constant('384x384'),
  width: fc.constant(384),
  height: fc.constant(384),
  num_frames: fc.constant(16),
  fps: fc.constant(8),
  n: fc.constant(1),
  webhook: fc.oneof(
    fc.constantFrom('https://example.com/hook', 'http://localhost/', 'https://169.254.169.254/'),
    fc.webUrl({ validSchemes: ['https'], withQueryParameters: true }),
  ),
  input_key: fc.constantFrom('uploads/fuzz/p.txt', 'uploads/fuzz/a/p.csv', 'uploads/other/p.txt'),
};

function valueOf(schema: Schema, name: string): Arbitrary<unknown> {
  if (schema.$ref !== undefined) {
    return valueOf(DOCUMENT.components.schemas[schema.$ref.split('/').at(-1)!]!, name);
  }
  const sensible = SENSIBLE[name];
  if (sensible !== undefined) return sensible;
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => valueOf(one, name)));
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const { minimum = 0, maximum = 1000 } = schema;
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return fc.array(valueOf(schema.items ?? {}, name), { minLength: 1, maxLength: 5 });
    case 'integer':
      return fc.integer({ min: minimum, max: maximum });
    case 'number':
      return fc.double({ min: minimum, max: maximum, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'string':
      return fc.string({ maxLength: 40 });
    default:
      return awkwardValue;
  }
}

function objectOf({ properties, required = [], additionalProperties }: Schema): Arbitrary<object> {
  if (properties === undefined) {
    const values = typeof additionalProperties === 'object' ? additionalProperties : {};
    return fc.dictionary(fc.string({ minLength: 1, maxLength: 20 }), valueOf(values, ''), {
      maxKeys: 5,
    });
  }
  const fields = Object.entries(properties).map(([name, schema]) => [name, valueOf(schema, name)]);
  return fc.record(Object.fromEntries(fields) as Record<string, Arbitrary<unknown>>, {
    requiredKeys: required,
  });
}

interface Mutation {
  kind: 'replace' | 'remove' | 'add' | 'wrap';
  /** Which of the places in the value. */
  place: number;
  name: string;
  value: unknown;
}

const mutation: Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('replace', 'remove', 'add', 'wrap'),
  place: fc.nat(30),
  name: fc.oneof(awkwardText, fc.constantFrom('seed', 'extra_params', 'metadata', 'scope')),
  value: awkwardValue,
});

/** The value with one of its places changed. Names are defined, never assigned: any may come. */
function mutate(value: unknown, { kind, place, name, value: other }: Mutation): unknown {
  const copy = structuredClone(value);
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const collect = (holder: unknown): void => {
    if (typeof holder !== 'object' || holder === null) return;
    for (const key of Object.keys(holder)) {
      places.push({ holder: holder as Record<string, unknown>, key });
      collect((holder as Record<string, unknown>)[key]);
    }
  };
  collect(copy);
  const chosen = places[place % Math.max(1, places.length)];
  if (chosen === undefined) return kind === 'wrap' ? [copy] : other;
  const { holder, key } = chosen;
  const define = (at: string, defined: unknown): unknown =>
    Object.defineProperty(holder, at, {
      value: defined,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  if (kind === 'remove') delete holder[key];
  else if (kind === 'replace') define(key, other);
  else if (kind === 'wrap') define(key, [holder[key]]);
  else if (!Array.isArray(holder)) define(name, other);
  return copy;
}

/** The value as a form: objects in brackets, the rest as text. */
function formOf(value: unknown): FormData {
  const form = new FormData();
  const append = (name: string, field: unknown): void => {
    if (Array.isArray(field)) {
      for (const element of field.slice(0, 20)) append(`${name}[]`, element);
    } else if (typeof field === 'object' && field !== null) {
      for (const [key, inner] of Object.entries(field)) {
        append(name === '' ? key : `${name}[${key}]`, inner);
      }
    } else {
      form.append(name, String(field));
    }
  };
  append('', value);
  return form;
}

interface Encoded {
  body: HostileRequest['body'];
  contentType: string | undefined;
}

/** Longer than any endpoint takes. */
const PADDING = ' '.repeat(5 * 1024 * 1024);

const CONTENT_TYPES = [
  'application/json',
  'application/json; charset=utf-16',
  'application/vnd.api+json',
  'text/plain',
  'multipart/form-data',
  'multipart/form-data; boundary=',
  'multipart/form-data; boundary=x',
  '',
];

/** Mostly what a client would send, otherwise torn, mislabelled, or nothing of the kind. */
function encodingOf(value: unknown): Arbitrary<Encoded> {
  const json = JSON.stringify(value) ?? '';
  const asJson = { body: json, contentType: 'application/json' };
  return fc.oneof(
    { weight: 400, arbitrary: fc.constant(asJson) },
    { weight: 1, arbitrary: fc.constant({ ...asJson, body: json + PADDING }) },
    { weight: 160, arbitrary: fc.constant({ body: formOf(value), contentType: undefined }) },
    {
      weight: 30,
      arbitrary: fc.nat(json.length).map((end) => ({ ...asJson, body: json.slice(0, end) })),
    },
    {
      weight: 30,
      arbitrary: fc
        .constantFrom(...CONTENT_TYPES)
        .map((contentType) => ({ body: json, contentType })),
    },
    {
      weight: 30,
      arbitrary: fc
        .tuple(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...CONTENT_TYPES))
        .map(([bytes, contentType]) => ({ body: new Uint8Array(bytes), contentType })),
    },
  );
}

const NOTHING: Encoded = { body: undefined, contentType: undefined };

const query = fc.oneof(
  fc.constantFrom('', 'limit=5', 'order=asc', 'limit=5&limit=6', 'variant=thumbnail', 'after=x'),
  fc
    .dictionary(fc.constantFrom('limit', 'after', 'order', 'variant', 'x'), awkwardText, {
      maxKeys: 3,
    })
    .map((fields) => new URLSearchParams(fields).toString()),
);

const idempotencyKey = fc.oneof(
  fc.constantFrom('', 'one', 'two', 'x'.repeat(256)),
  fc.string({ maxLength: 30 }),
);

function requestTo(endpoint: Endpoint): Arbitrary<HostileRequest> {
  const operation = DOCUMENT.paths[endpoint.path]![endpoint.method]!;
  const schema = operation.requestBody?.content['application/json']!.schema;
  const encoded =
    schema === undefined
      ? fc.constant(NOTHING)
      : fc
          .tuple(
            valueOf(schema, ''),
            fc.oneof(fc.constant([]), fc.array(mutation, { minLength: 1, maxLength: 3 })),
          )
          .chain(([value, mutations]) => encodingOf(mutations.reduce(mutate, value)));
  return fc
    .record({
      encoded,
      id: fc.oneof(
        { weight: 3, arbitrary: fc.constant('newest' as const) },
        { weight: 1, arbitrary: awkwardText.map((text) => ({ text })) },
      ),
      query: endpoint.query === undefined ? fc.constant('') : query,
      key: fc.option(idempotencyKey),
    })
    .map(({ encoded: { body, contentType }, id, query: asked, key }) => ({
      endpoint,
      id,
      query: asked,
      headers: {
        ...(contentType !== undefined && { 'content-type': contentType }),
        ...(key !== null && { 'idempotency-key': key }),
      },
      body,
    }));
}

/** Bodies matter most: endpoints that take one come more often. */
export const hostileRequest: Arbitrary<HostileRequest> = fc.oneof(
  ...ENDPOINTS.map((endpoint) => ({
    weight: endpoint.body === undefined ? 1 : 8,
    arbitrary: requestTo(endpoint),
  })),
);
