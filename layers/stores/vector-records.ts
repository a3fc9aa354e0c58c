import { InvalidInputError } from '../core/errors.ts';
import { LOOKUP_PARTS, type Entry, type LookupPart } from '../core/generation.ts';
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
