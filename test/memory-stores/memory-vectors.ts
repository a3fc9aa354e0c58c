import { InvalidInputError } from '#core/errors.ts';
import { LOOKUP_PARTS } from '#core/generation.ts';
import type { VectorIndex, VectorMatch, VectorRecord, VectorScope } from '#ports/vector-index.ts';
import { lastOfEachKey, validateVector, vectorKey } from '#ports/vector-records.ts';

/** Vectors in memory, all compared; each call has its effect at once and whole. */
export class MemoryVectors implements VectorIndex {
  readonly #records = new Map<string, VectorRecord>();

  async put(records: readonly VectorRecord[]): Promise<void> {
    const last = [...lastOfEachKey(records)];
    for (const [, { vector }] of last) {
      validateVector(vector, 'vector');
      const other = this.#records.values().next().value?.vector ?? vector;
      if (vector.length !== other.length) {
        throw new InvalidInputError(
          'vector',
          'vectors differ in length',
          'use one embedding model',
        );
      }
    }
    for (const [key, record] of last) this.#records.set(key, record);
  }

  async query(scope: VectorScope, vector: readonly number[], topK: number): Promise<VectorMatch[]> {
    validateVector(vector, 'vector');
    return [...this.#records.values()]
      .filter((record) => isInScope(record, scope))
      .map((record) => ({
        entryId: record.entryId,
        similarity: cosine(record.vector, vector),
      }))
      .sort((one, other) => other.similarity - one.similarity)
      .slice(0, topK);
  }

  async delete(entryIds: readonly string[]): Promise<void> {
    for (const entryId of entryIds) {
      for (const part of LOOKUP_PARTS) this.#records.delete(vectorKey(part, entryId));
    }
  }

  async *list(): AsyncIterable<string> {
    yield* this.entryIds;
  }

  /** An index of its own with the same vectors. */
  fork(): MemoryVectors {
    const fork = new MemoryVectors();
    for (const [key, record] of this.#records) fork.#records.set(key, record);
    return fork;
  }

  /** Each once, in order. */
  get entryIds(): string[] {
    return [...new Set([...this.#records.values()].map(({ entryId }) => entryId))].sort();
  }
}

function isInScope(record: VectorRecord, scope: VectorScope): boolean {
  return (
    record.part === scope.part &&
    record.scope === scope.scope &&
    record.compatibilityKey === scope.compatibilityKey &&
    (scope.scope === 'shared' || record.tenant === scope.tenant)
  );
}

function cosine(one: readonly number[], other: readonly number[]): number {
  let dot = 0;
  for (const [index, value] of one.entries()) dot += value * other[index]!;
  return Math.min(1, Math.max(-1, dot / (Math.hypot(...one) * Math.hypot(...other))));
}
