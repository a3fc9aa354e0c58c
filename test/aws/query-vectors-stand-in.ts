import {
  ListVectorsCommand,
  type QueryVectorsInput,
  type QueryVectorsOutput,
  type S3VectorsClient,
} from '@aws-sdk/client-s3vectors';

/** A condition on filterable metadata, as far as this product uses the language. */
type Filter = { $and: Filter[] } | Record<string, { $eq: string }>;

/**
 * Lets `client` answer QueryVectors, which moto lacks, from what moto's ListVectors returns: an exact
 * comparison in two pages, so that a caller who forgets the second page fails.
 */
export function standInForQueryVectors(client: S3VectorsClient, lister: S3VectorsClient): void {
  client.middlewareStack.add(
    (next, context) => async (call) => {
      if (context['commandName'] !== 'QueryVectorsCommand') return next(call);
      const output = await answerQueryVectors(call.input as QueryVectorsInput, lister);
      return { output: { ...output, $metadata: {} }, response: {} } as never;
    },
    { step: 'initialize' },
  );
}

/** The answer to one QueryVectors, from what `lister` lists. */
export async function answerQueryVectors(
  query: QueryVectorsInput,
  lister: S3VectorsClient,
): Promise<Omit<QueryVectorsOutput, 'distanceMetric'>> {
  const { vectorBucketName, indexName, indexArn, queryVector, filter, nextToken } = query;
  const { vectors } = await lister.send(
    new ListVectorsCommand({
      ...(indexArn ? { indexArn } : { vectorBucketName, indexName }),
      returnData: true,
      returnMetadata: true,
    }),
  );
  const ranked = (vectors ?? [])
    .filter((vector) => holds(filter as Filter, vector.metadata as Record<string, string>))
    .map((vector) => ({
      key: vector.key,
      distance: 1 - cosine(vector.data!.float32!, queryVector!.float32!),
    }))
    .sort((one, other) => one.distance - other.distance)
    .slice(0, query.topK);
  const half = Math.ceil(ranked.length / 2);
  if (nextToken !== undefined) return { vectors: ranked.slice(half) };
  const isOnePage = half === ranked.length;
  return { vectors: ranked.slice(0, half), ...(!isOnePage && { nextToken: 'second' }) };
}

function holds(filter: Filter, metadata: Record<string, string>): boolean {
  if (Array.isArray(filter['$and'])) return filter['$and'].every((each) => holds(each, metadata));
  return Object.entries(filter as Record<string, { $eq: string }>).every(
    ([name, condition]) => metadata[name] === condition.$eq,
  );
}

function cosine(one: readonly number[], other: readonly number[]): number {
  const dot = one.reduce((sum, value, index) => sum + value * other[index]!, 0);
  return dot / Math.hypot(...one) / Math.hypot(...other);
}
