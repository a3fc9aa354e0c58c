import { InvalidInputError } from '#core/errors.ts';
import { LOOKUP_PARTS, type Entry, type LookupPart } from '#core/generation.ts';
import { meterUse } from './usage-meter.ts';
import type { VectorRecord } from './vector-index.ts';

/** Separates part and entry id in a vector's key; no entry id contains it. */
const SEPARATOR = '#';

/** What the index holds of an entry: one record for each part that it has. */
export function vectorRecordsOf(
  entry: Pick<Entry, 'entryId' | 'tenant' | 'scope' | 'compatibilityKey' | 'vectors'>,
): VectorRecord[] {
  const { entryId, tenant, scope, compatibilityKey, vectors } = entry;
  return LOOKUP_PARTS.flatMap((part) => {
    const vector = vectors[part];
    return vector === null ? [] : [{ entryId, tenant, scope, compatibilityKey, part, vector }];
  });
}

const BYTES_PER_ELEMENT = 4;

/** What the index keeps of a vector, and charges for: its elements, its key, its metadata. */
export function storedVectorBytes(record: VectorRecord): number {
  const { vector, part, entryId, scope, tenant, compatibilityKey } = record;
  const metadata = { compatibilityKey, scope, tenant, part };
  const text = [vectorKey(part, entryId), ...Object.entries(metadata).flat()].join('');
  return vector.length * BYTES_PER_ELEMENT + Buffer.byteLength(text);
}

/** S3 Vectors charges a put as this much at least (S3 pricing). */
const MIN_PUT_BYTES = 128 * 1024;

/** Counts one put of these vectors, as it is charged. */
export function meterVectorPut(records: readonly VectorRecord[]): void {
  const bytes = records.reduce((sum, record) => sum + storedVectorBytes(record), 0);
  meterUse({ vectorPuts: records.length, vectorBytesPut: Math.max(MIN_PUT_BYTES, bytes) });
}

/** One entry has at most one vector per part, whatever its scope. */
export function vectorKey(part: LookupPart, entryId: string): string {
  return `${part}${SEPARATOR}${entryId}`;
}

export function entryIdOfVectorKey(key: string): string {
  return key.slice(key.indexOf(SEPARATOR) + 1);
}

/** The last record of each key: one call must not name a key twice. */
export function lastOfEachKey(records: readonly VectorRecord[]): Map<string, VectorRecord> {
  return new Map(records.map((record) => [vectorKey(record.part, record.entryId), record]));
}

/** @throws InvalidInputError when the vector has no direction: cosine is undefined for it. */
export function validateVector(vector: readonly number[], field: string): void {
  const length = Math.hypot(...vector);
  if (length > 0 && Number.isFinite(length)) return;
  throw new InvalidInputError(
    field,
    `${field} has no direction: ${vector.length} elements, length ${length}`,
    'give a vector of finite numbers that are not all zero',
  );
}
