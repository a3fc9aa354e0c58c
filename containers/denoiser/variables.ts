/** Names of the environment variables that the container reads. */
export const DENOISER_VARIABLES = {
  tableName: 'FLEXCACHE_TABLE',
  latentsBucket: 'FLEXCACHE_LATENTS_BUCKET',
  videosBucket: 'FLEXCACHE_VIDEOS_BUCKET',
  storageClass: 'FLEXCACHE_STORAGE_CLASS',
  queueUrl: 'FLEXCACHE_QUEUE_URL',
  modelDirectory: 'FLEXCACHE_MODEL_DIRECTORY',
  modelSource: 'FLEXCACHE_MODEL_SOURCE',
  modelRevision: 'FLEXCACHE_MODEL_REVISION',
  executionProvider: 'FLEXCACHE_EXECUTION_PROVIDER',
  instanceType: 'FLEXCACHE_INSTANCE_TYPE',
  purchaseOption: 'FLEXCACHE_PURCHASE_OPTION',
  metadataEndpoint: 'AWS_EC2_METADATA_SERVICE_ENDPOINT',
  visibilitySeconds: 'FLEXCACHE_VISIBILITY_SECONDS',
  stopWhenEmpty: 'FLEXCACHE_STOP_WHEN_EMPTY',
  idleSeconds: 'FLEXCACHE_IDLE_SECONDS',
  batch: 'FLEXCACHE_BATCH',
  healthFile: 'FLEXCACHE_HEALTH_FILE',
  agentUri: 'ECS_AGENT_URI',
} as const;

/** Where the worker shows that it gets on, unless told otherwise. */
export const DEFAULT_HEALTH_FILE = '/tmp/flexcache-worker-health';
