import { describe, expect, test } from 'vitest';
import { entryBytes } from '#core/costs/entry-rent.ts';
import type { Entry } from '#core/generation.ts';
import { entryToItem } from '#aws/table-items.ts';
import { EXACT_KEY_INDEX, PROMPT_KEY_INDEX, STATE_INDEX } from '#aws/table-definition.ts';
import { vectorKey, vectorRecordsOf } from '#ports/vector-records.ts';

const DIGEST = 'f'.repeat(64);
const ID = 'vid_01kaj3w1q2x8f5m7n9p0r4s6tv';
const unit = (dimensions: number): number[] =>
  Array.from({ length: dimensions }, () => dimensions ** -0.5);

/** An entry as they are: digests of their length, a prompt of 20 words, hit before. */
function entryOf(dimensions: number, parts: number): Entry {
  const file = (folder: string, end: string): string => `${folder}/${ID}/${'e'.repeat(16)}.${end}`;
  return {
    entryId: ID,
    state: 'READY',
    tenant: 'acme',
    scope: 'tenant',
    compatibilityKey: DIGEST,
    exactKey: DIGEST,
    promptKey: DIGEST,
    prompt: 'word '.repeat(20).trim(),
    objectPhrase: 'word '.repeat(5).trim(),
    backgroundPhrase: 'word '.repeat(5).trim(),
    seed: 123_456_789,
    latentKey: file('latents', 'fcl'),
    latentBytes: 4_190_000,
    latentSha256: DIGEST,
    videoKey: file('videos', 'mp4'),
    posterKey: file('videos', 'png'),
    animationKey: file('videos', 'webp'),
    spritesheetKey: file('videos', 'jpg'),
    videoBytes: 912_345,
    vectors: {
      whole: unit(dimensions),
      object: parts > 1 ? unit(dimensions) : null,
      background: parts > 2 ? unit(dimensions) : null,
    },
    reuseDepth: 1,
    hits: 12,
    createdAt: '2026-11-01T12:34:56.789Z',
    lastHitAt: '2026-11-20T12:34:56.789Z',
    previousHitAt: '2026-11-19T12:34:56.789Z',
    decayedHits: 3.123456789,
    decayedCredit: 88.123456789,
    neighbours: 4,
    storageClass: 'INTELLIGENT_TIERING',
    gpuSeconds: 101.234,
    denoiseSeconds: 95.432,
    stepsRun: 20,
  };
}

/** Bytes of a value as DynamoDB counts them (Developer Guide, item sizes and formats). */
function sizeOf(value: unknown): number {
  if (value === null || typeof value === 'boolean') return 1;
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value === 'number') return Math.ceil(String(value).replace(/\D/g, '').length / 2) + 1;
  if (value instanceof Uint8Array) return value.byteLength;
  return 3 + sizeOfAttributes(value as Record<string, unknown>, 1);
}

function sizeOfAttributes(attributes: Record<string, unknown>, overhead = 0): number {
  return Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + sizeOf(value) + overhead, 0);
}

/** Of each item and of each entry of an index DynamoDB stores so much more. */
const ITEM_OVERHEAD = 100;

function storedBytes(entry: Entry): number {
  const item = entryToItem(entry);
  const projected = (names: readonly string[]): number =>
    ITEM_OVERHEAD +
    sizeOfAttributes(Object.fromEntries(names.map((name) => [name, item[name]] as const)));
  const keys = ['pk', 'sk'];
  return (
    ITEM_OVERHEAD +
    sizeOfAttributes(item) +
    [EXACT_KEY_INDEX, PROMPT_KEY_INDEX, STATE_INDEX]
      .map(({ partitionKey, sortKey, ...index }) =>
        projected([
          ...new Set([
            ...keys,
            partitionKey,
            sortKey,
            ...('attributes' in index ? (index.attributes ?? []) : []),
          ]),
        ]),
      )
      .reduce((sum, bytes) => sum + bytes, 0)
  );
}

describe.each([
  [384, 3],
  [384, 1],
  [64, 3],
])('an entry of %d dimensions and %d parts', (dimensions, parts) => {
  const entry = entryOf(dimensions, parts);
  const { vectorBytes, itemBytes } = entryBytes(dimensions, parts);

  test('takes about what is reckoned in the table and its indexes', () => {
    expect(itemBytes / storedBytes(entry)).toBeGreaterThan(0.85);
    expect(itemBytes / storedBytes(entry)).toBeLessThan(1.15);
  });

  test('takes about what is reckoned in the vector index: elements, keys, metadata', () => {
    const stored = vectorRecordsOf(entry).reduce((sum, { vector, part, ...metadata }) => {
      const { compatibilityKey, scope, tenant } = metadata;
      const key = vectorKey(part, entry.entryId);
      return (
        sum +
        vector.length * 4 +
        key.length +
        sizeOfAttributes({ compatibilityKey, scope, tenant, part })
      );
    }, 0);

    expect(vectorBytes / stored).toBeGreaterThan(0.85);
    expect(vectorBytes / stored).toBeLessThan(1.15);
  });
});
