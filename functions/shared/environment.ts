/** Names of the environment variables that a deployed function reads. */
export const ENVIRONMENT = {
  tableName: 'FLEXCACHE_TABLE',
  vectorIndexArn: 'FLEXCACHE_VECTOR_INDEX_ARN',
  modelDirectory: 'FLEXCACHE_MODEL_DIRECTORY',
  /** Objects under `videos/`. */
  videosBucket: 'FLEXCACHE_VIDEOS_BUCKET',
  /** Days until videos are deleted; empty where they are kept. */
  videosExpireAfterDays: 'FLEXCACHE_VIDEOS_EXPIRE_AFTER_DAYS',
  /** All other objects: latents, checkpoints, backfills. */
  latentsBucket: 'FLEXCACHE_LATENTS_BUCKET',
  /** S3 storage class of what is written. */
  storageClass: 'FLEXCACHE_STORAGE_CLASS',
  interactiveQueueUrl: 'FLEXCACHE_INTERACTIVE_QUEUE_URL',
  backfillQueueUrl: 'FLEXCACHE_BACKFILL_QUEUE_URL',
  webhookQueueUrl: 'FLEXCACHE_WEBHOOK_QUEUE_URL',
  /** What no worker could answer, what no function could end, which announcements were given up. */
  interactiveDeadLettersUrl: 'FLEXCACHE_INTERACTIVE_DEAD_LETTERS_URL',
  backfillDeadLettersUrl: 'FLEXCACHE_BACKFILL_DEAD_LETTERS_URL',
  lostEndsUrl: 'FLEXCACHE_LOST_ENDS_URL',
  givenUpWebhooksUrl: 'FLEXCACHE_GIVEN_UP_WEBHOOKS_URL',
  /** ARNs or names of the functions that end jobs and backfills. */
  failFunction: 'FLEXCACHE_FAIL_FUNCTION',
  closeFunction: 'FLEXCACHE_CLOSE_FUNCTION',
  /** ARN of the `generate` state machine. */
  generateArn: 'FLEXCACHE_GENERATE_ARN',
  /** ARN of the `backfill` state machine. */
  backfillArn: 'FLEXCACHE_BACKFILL_ARN',
  /** ARN or name of the function that `dry_run` asks. */
  predictFunction: 'FLEXCACHE_PREDICT_FUNCTION',
  /** The interactive pool: ECS cluster, its service, most workers, minutes until they go, `on-demand` or `spot`. */
  cluster: 'FLEXCACHE_CLUSTER',
  service: 'FLEXCACHE_SERVICE',
  interactiveMax: 'FLEXCACHE_INTERACTIVE_MAX',
  idleMinutes: 'FLEXCACHE_IDLE_MINUTES',
  interactivePurchase: 'FLEXCACHE_INTERACTIVE_PURCHASE',
  /** The backfill pool: Batch job queue, job definition, most drain jobs. */
  jobQueue: 'FLEXCACHE_JOB_QUEUE',
  jobDefinition: 'FLEXCACHE_JOB_DEFINITION',
  backfillMax: 'FLEXCACHE_BACKFILL_MAX',
  /** Limits of a tenant that was given none; empty for no limit. */
  defaultRequestsPerMinute: 'FLEXCACHE_DEFAULT_REQUESTS_PER_MINUTE',
  defaultConcurrentJobs: 'FLEXCACHE_DEFAULT_CONCURRENT_JOBS',
  defaultBudgetPerDayUsd: 'FLEXCACHE_DEFAULT_BUDGET_PER_DAY_USD',
  /** Origins whose pages may call the API, separated by commas; empty for none. */
  corsOrigins: 'FLEXCACHE_CORS_ORIGINS',
  /** Whose prices costs are reckoned by; the function's own region unless given. */
  priceRegion: 'FLEXCACHE_PRICE_REGION',
  /** Measured prices that come before the book's: `ec2.g6.xlarge.spot=0.31,...` or JSON. */
  priceOverrides: 'FLEXCACHE_PRICE_OVERRIDES',
  /** How the cache is weighed: dollars a month that it may cost in rent; empty for no budget. */
  cacheBudgetUsd: 'FLEXCACHE_CACHE_BUDGET_USD',
  /** `true` where latents may move to another storage class. */
  moveStorageClasses: 'FLEXCACHE_MOVE_STORAGE_CLASSES',
  /** The compatibility key whose entries alone stay; empty where those of all models do. */
  onlyCompatibilityKey: 'FLEXCACHE_ONLY_COMPATIBILITY_KEY',
  /** Elements of one vector. */
  embeddingDimensions: 'FLEXCACHE_EMBEDDING_DIMENSIONS',
  /** Whose seconds reuse saves: instance type, and `on-demand` or `spot`. */
  pricedInstanceType: 'FLEXCACHE_PRICED_INSTANCE_TYPE',
  pricedPurchase: 'FLEXCACHE_PRICED_PURCHASE',
} as const;
