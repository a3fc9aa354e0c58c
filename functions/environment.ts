/** Names of the environment variables that a deployed function reads. */
export const ENVIRONMENT = {
  tableName: 'FLEXCACHE_TABLE',
  vectorIndexArn: 'FLEXCACHE_VECTOR_INDEX_ARN',
  modelDirectory: 'FLEXCACHE_MODEL_DIRECTORY',
} as const;
