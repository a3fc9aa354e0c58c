/** Names of the one table's keys and indexes, shared by the infrastructure and the code that reads them. */

export const PARTITION_KEY = 'pk';
export const SORT_KEY = 'sk';

export interface TableIndex {
  readonly name: string;
  readonly partitionKey: string;
  readonly sortKey: string;
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

export const TABLE_INDEXES: readonly TableIndex[] = [
  EXACT_KEY_INDEX,
  PROMPT_KEY_INDEX,
  OWNER_INDEX,
  DAY_INDEX,
];

/** Every index attribute is a string and every index holds keys only: writes of other attributes cost it nothing. */
export const INDEX_PROJECTION = 'KEYS_ONLY';
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
      Projection: { ProjectionType: INDEX_PROJECTION as 'KEYS_ONLY' },
    })),
  };
}
