import type { LookupPart } from '#core/generation.ts';
import type { CachePartition } from '#core/requests/identity.ts';

/** Vectors are only compared inside one partition and part. */
export interface VectorScope extends CachePartition {
  part: LookupPart;
}

export interface VectorRecord extends VectorScope {
  entryId: string;
  /** Unit length. */
  vector: number[];
}

/** What an index holds, of all scopes and parts: a query is charged for all of it. */
export interface VectorIndexSize {
  vectors: number;
  /** Elements, keys and metadata. */
  bytes: number;
}

export interface VectorMatch {
  entryId: string;
  /** Cosine, -1..1, best first. */
  similarity: number;
}

/**
 * Proposes candidates; never decides. Implementations: `S3VectorIndex` (layers/aws) and
 * `ExactVectorIndex` (local).
 */
export interface VectorIndex {
  /** Idempotent: the same entry and part is overwritten. */
  put(records: readonly VectorRecord[]): Promise<void>;
  query(scope: VectorScope, vector: readonly number[], topK: number): Promise<VectorMatch[]>;
  /** Removes every part of these entries; idempotent. */
  delete(entryIds: readonly string[]): Promise<void>;
  /** Entry ids present, for the sweep. */
  list(): AsyncIterable<string>;
}
