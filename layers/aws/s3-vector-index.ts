import {
  DeleteVectorsCommand,
  ListVectorsCommand,
  PutVectorsCommand,
  QueryVectorsCommand,
  S3VectorsClient,
} from '@aws-sdk/client-s3vectors';
import { LOOKUP_PARTS } from '#core/generation.ts';
import { fromAws } from './aws-errors.ts';
import { meterUse } from '#ports/usage-meter.ts';
import type {
  VectorIndex,
  VectorIndexSize,
  VectorMatch,
  VectorRecord,
  VectorScope,
} from '#ports/vector-index.ts';
import {
  entryIdOfVectorKey,
  lastOfEachKey,
  meterVectorPut,
  validateVector,
  vectorKey,
} from '#ports/vector-records.ts';

/** PutVectors and DeleteVectors take no more per call (S3 Vectors quotas). */
const VECTORS_PER_CALL = 500;

/** The index by its ARN, or by the names of its bucket and itself. */
export type S3VectorIndexName =
  { indexArn: string } | { vectorBucketName: string; indexName: string };

/** @param dimensions of the vectors */
export type IndexSizer = (dimensions: number) => Promise<VectorIndexSize | null>;

export interface S3VectorIndexOptions {
  index: S3VectorIndexName;
  /**
   * How much the index holds, which every query is charged for; S3 Vectors itself does not say. Null, or
   * without it: unknown, and a query's usage says so.
   */
  size?: IndexSizer;
  client?: S3VectorsClient;
}

/**
 * Vectors in an S3 Vectors index of cosine distance. The key is `part#entryId`; compatibility key,
 * scope, tenant and part are filterable metadata.
 *
 * @example
 * const vectors = new S3VectorIndex({ index: { indexArn } });
 * const matches = await vectors.query({ ...partition, part: 'object' }, vector, 10);
 */
export class S3VectorIndex implements VectorIndex {
  readonly #index: S3VectorIndexName;
  readonly #client: S3VectorsClient;
  readonly #size: IndexSizer;

  constructor({ index, client, size }: S3VectorIndexOptions) {
    this.#index = index;
    this.#size = size ?? (async () => null);
    this.#client = client ?? new S3VectorsClient({});
  }

  async put(records: readonly VectorRecord[]): Promise<void> {
    for (const record of records) validateVector(record.vector, 'vector');
    for (const batch of batches([...lastOfEachKey(records)])) {
      await this.#call(`store ${batch.length} vectors`, () =>
        this.#client.send(
          new PutVectorsCommand({
            ...this.#index,
            vectors: batch.map(([key, { vector, compatibilityKey, scope, tenant, part }]) => ({
              key,
              data: { float32: [...vector] },
              metadata: { compatibilityKey, scope, tenant, part },
            })),
          }),
        ),
      );
      meterVectorPut(batch.map(([, record]) => record));
    }
  }

  async query(
    { compatibilityKey, scope, tenant, part }: VectorScope,
    vector: readonly number[],
    topK: number,
  ): Promise<VectorMatch[]> {
    validateVector(vector, 'vector');
    const matches: VectorMatch[] = [];
    let nextToken: string | undefined;
    do {
      const page = await this.#call('query the vector index', () =>
        this.#client.send(
          new QueryVectorsCommand({
            ...this.#index,
            topK,
            queryVector: { float32: [...vector] },
            filter: {
              $and: [
                { compatibilityKey: { $eq: compatibilityKey } },
                { scope: { $eq: scope } },
                ...(scope === 'tenant' ? [{ tenant: { $eq: tenant } }] : []),
                { part: { $eq: part } },
              ],
            },
            returnDistance: true,
            nextToken,
          }),
        ),
      );
      await this.#meterQuery(vector.length);
      for (const { key, distance } of page.vectors ?? []) {
        matches.push({ entryId: entryIdOfVectorKey(key!), similarity: 1 - (distance ?? 1) });
      }
      nextToken = page.nextToken;
    } while (nextToken !== undefined && matches.length < topK);
    return matches.slice(0, topK);
  }

  async delete(entryIds: readonly string[]): Promise<void> {
    const keys = new Set(
      entryIds.flatMap((entryId) => LOOKUP_PARTS.map((part) => vectorKey(part, entryId))),
    );
    for (const batch of batches([...keys])) {
      await this.#call(`delete ${batch.length} vectors`, () =>
        this.#client.send(new DeleteVectorsCommand({ ...this.#index, keys: batch })),
      );
    }
  }

  async *list(): AsyncIterable<string> {
    const seen = new Set<string>();
    let nextToken: string | undefined;
    do {
      const page = await this.#call('list the vector index', () =>
        this.#client.send(new ListVectorsCommand({ ...this.#index, nextToken })),
      );
      for (const { key } of page.vectors ?? []) {
        const entryId = entryIdOfVectorKey(key!);
        if (seen.has(entryId)) continue;
        seen.add(entryId);
        yield entryId;
      }
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
  }

  /** Each page of an answer is a query of its own. */
  async #meterQuery(dimensions: number): Promise<void> {
    const size = await this.#size(dimensions);
    meterUse({
      vectorQueries: 1,
      ...(size === null
        ? { unmeasuredRequests: 1 }
        : { vectorBytesScanned: size.bytes, vectorsScanned: size.vectors }),
    });
  }

  async #call<Output>(doing: string, send: () => Promise<Output>): Promise<Output> {
    try {
      return await send();
    } catch (error) {
      throw fromAws(error, doing);
    }
  }
}

function batches<Element>(elements: readonly Element[]): Element[][] {
  return Array.from({ length: Math.ceil(elements.length / VECTORS_PER_CALL) }, (_, batch) =>
    elements.slice(batch * VECTORS_PER_CALL, (batch + 1) * VECTORS_PER_CALL),
  );
}
