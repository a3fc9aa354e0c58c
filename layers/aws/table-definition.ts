/** Names of the one table's keys and indexes, shared by the infrastructure and the code that reads them. */

export const PARTITION_KEY = 'pk';
export const SORT_KEY = 'sk';

export interface TableIndex {
  readonly name: string;
  readonly partitionKey: string;
  readonly sortKey: string;
  /** Attributes beside the keys; none unless said. Writes of others cost the index nothing. */
  readonly attributes?: readonly string[];
}

/** READY entries that answer exactly one request, by creation time. Sparse: other states leave it. */
export const EXACT_KEY_INDEX: TableIndex = {
  name: 'ready-by-exact-key',
  partitionKey: 'readyExactKey',
  sortKey: 'createdAt',
};

/** READY entries of one prompt with any seed, by creation time. Sparse: other states leave it. */
export const PROMPT_KEY_INDEX: TableIndex = {
  name: 'ready-by-prompt-key',
  partitionKey: 'readyPromptKey',
  sortKey: 'createdAt',
};

/**
 * What somebody owns, by creation time: jobs, backfills and API keys of a tenant, each under an owner
 * key of its own.
 */
export const OWNER_INDEX: TableIndex = {
  name: 'by-owner',
  partitionKey: 'owner',
  sortKey: 'ownerSort',
};

/** Every job by the day of its creation, UTC, and in it by time. A deleted one stays: it was paid for. */
export const DAY_INDEX: TableIndex = {
  name: 'by-day',
  partitionKey: 'day',
  sortKey: 'daySort',
};

/**
 * Every entry by its segment, and in it by state and id, with what decides whether it stays: no vectors
 * and no prompt, so that a pass over the cache reads half a kilobyte an entry. An index projects 20
 * attributes at most.
 */
export const STATE_INDEX = {
  name: 'entries-by-state',
  partitionKey: 'segment',
  sortKey: 'stateSort',
  attributes: [
    'traits',
    'createdAt',
    'lastHitAt',
    'previousHitAt',
    'hits',
    'decayedHits',
    'decayedCredit',
    'neighbours',
    'pinnedAt',
    'storageClass',
    'leavingAt',
    'latentBytes',
    'videoBytes',
    'reuseDepth',
    'gpuSeconds',
    'denoiseSeconds',
    'stepsRun',
  ],
} as const satisfies TableIndex;

export const TABLE_INDEXES: readonly TableIndex[] = [
  EXACT_KEY_INDEX,
  PROMPT_KEY_INDEX,
  OWNER_INDEX,
  DAY_INDEX,
  STATE_INDEX,
];

/** Every index attribute that is a key is a string. */
export const KEY_TYPE = 'S';

/** The table as CreateTable takes it. */
export function tableDefinition(tableName: string) {
  const attributes = new Set([
    PARTITION_KEY,
    SORT_KEY,
    ...TABLE_INDEXES.flatMap((index) => [index.partitionKey, index.sortKey]),
  ]);
  const keySchema = (partitionKey: string, sortKey: string) => [
    { AttributeName: partitionKey, KeyType: 'HASH' as const },
    { AttributeName: sortKey, KeyType: 'RANGE' as const },
  ];
  return {
    TableName: tableName,
    BillingMode: 'PAY_PER_REQUEST' as const,
    AttributeDefinitions: [...attributes].map((name) => ({
      AttributeName: name,
      AttributeType: KEY_TYPE as 'S',
    })),
    KeySchema: keySchema(PARTITION_KEY, SORT_KEY),
    GlobalSecondaryIndexes: TABLE_INDEXES.map((index) => ({
      IndexName: index.name,
      KeySchema: keySchema(index.partitionKey, index.sortKey),
      Projection: index.attributes
        ? { ProjectionType: 'INCLUDE' as const, NonKeyAttributes: [...index.attributes] }
        : { ProjectionType: 'KEYS_ONLY' as const },
    })),
  };
}
