import {
  CfnOutput,
  CfnResource,
  CrossStackReferences,
  Duration,
  ReferenceStrength,
  RemovalPolicy,
  Stack,
  type StackProps,
} from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as s3vectors from 'aws-cdk-lib/aws-s3vectors';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { CHECKPOINT_PREFIX, INPUT_PREFIX } from '#core/requests/identity.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import { POOLS, type Pool } from '#core/generation.ts';
import { MAX_DELIVERIES } from '#functions/webhook/delivery-schedule.ts';
import { PARTITION_KEY, SORT_KEY, TABLE_INDEXES, type TableIndex } from '#aws/table-definition.ts';
import { settingsOf } from './settings.ts';

export interface StorageStackProps extends StackProps {
  /** Dimensions of a vector; fixed when the index is created. */
  embeddingDimensions: number;
}

/** A queue and its dead-letter queue. */
export interface QueuePair {
  queue: sqs.Queue;
  deadLetters: sqs.Queue;
}

/** Epoch seconds after which DynamoDB may delete an item: counters of tenants and fleets. */
const TIME_TO_LIVE_ATTRIBUTE = 'expiresAt';

/** Lifecycle rules for objects that no job needs after the longest job timeout. */
const OF_JOBS = [
  { id: 'checkpoints', prefix: CHECKPOINT_PREFIX },
  { id: 'inputs', prefix: INPUT_PREFIX },
].map((rule) => ({ ...rule, expiration: Duration.seconds(TASK_TIMEOUTS.backfill.totalSeconds) }));

/** Pages follow redirects to signed URLs, for which browsers send no origin; the URL itself is the credential. */
const SIGNED_DOWNLOADS: s3.CorsRule = {
  allowedOrigins: ['*'],
  allowedMethods: [s3.HttpMethods.GET, s3.HttpMethods.HEAD],
  allowedHeaders: ['*'],
  exposedHeaders: ['Content-Length', 'Content-Range', 'ETag'],
};

/**
 * Above the worker's own limit of deliveries, so that the worker fails a message that crashes workers, with a
 * reason, before it becomes a dead letter.
 */
const WORK_DELIVERIES = 10;

/** Initial visibility timeout; the worker extends it. */
const WORK_VISIBILITY = Duration.seconds(60);

/** Timeout of the function that consumes the queue. */
export const WEBHOOK_TIMEOUT = Duration.seconds(60);

/** AWS recommends six times the timeout of the function. */
const CONSUMED_VISIBILITY = Duration.minutes(6);

/** Maximum retention of SQS. */
const MAX_RETENTION = Duration.days(14);

/** All stored data, and the queues between workflow, workers and tenants. */
export class StorageStack extends Stack {
  readonly table: dynamodb.TableV2;
  /** All objects except those under `videos/`. */
  readonly latents: s3.Bucket;
  /** Objects under `videos/`. */
  readonly videos: s3.Bucket;
  readonly vectorIndex: s3vectors.CfnIndex;
  /** Work for the GPU machines of each pool. */
  readonly work: Readonly<Record<Pool, QueuePair>>;
  /** Webhook events. */
  readonly webhooks: QueuePair;
  /** End events of executions that Fail or Close did not handle. */
  readonly lostEnds: sqs.Queue;
  readonly #isKept: boolean;

  constructor(scope: Construct, id: string, props: StorageStackProps) {
    super(scope, id, props);
    const { stage, videosExpireAfterDays, apiCorsOrigins } = settingsOf(this);
    this.#isKept = stage === 'production';
    this.table = this.#createTable();
    this.latents = this.#createBucket('Latents', OF_JOBS);
    this.videos = this.#createBucket(
      'Videos',
      videosExpireAfterDays === null
        ? []
        : [{ id: 'videos', expiration: Duration.days(videosExpireAfterDays) }],
    );
    if (apiCorsOrigins !== null) this.videos.addCorsRule(SIGNED_DOWNLOADS);
    this.vectorIndex = this.#createVectorIndex(props.embeddingDimensions);
    const work = POOLS.map((pool) => [pool, this.#createWorkQueue(pool)] as const);
    this.work = Object.fromEntries(work) as Record<Pool, QueuePair>;
    this.webhooks = this.#createQueue('Webhooks', {
      visibilityTimeout: CONSUMED_VISIBILITY,
      retentionPeriod: Duration.days(4),
      deliveries: MAX_DELIVERIES,
    });
    this.lostEnds = this.#createLostEnds();
    new CfnOutput(this, 'TableName', {
      description: 'Table name for the --table option of flexcache',
      value: this.table.tableName,
    });
    new CfnOutput(this, 'UploadsBucketName', {
      description: 'Bucket for prompt files, under uploads/TENANT/',
      value: this.latents.bucketName,
    });
    this.#exportEverything();
  }

  /**
   * Exports all references, because these resources are never replaced and most references of other stacks
   * point here. CloudFormation reads a stack's outputs for each weak reference, at most once a second. Unused
   * values are exported too: an export cannot be removed while another stack still imports it.
   */
  #exportEverything(): void {
    for (const resource of this.node.findAll().filter(CfnResource.isCfnResource)) {
      CrossStackReferences.of(resource).produce(ReferenceStrength.STRONG);
    }
    const { table, latents, videos, vectorIndex, work, webhooks } = this;
    const pairs = [...POOLS.map((pool) => work[pool]), webhooks];
    const queues = [
      ...pairs.flatMap(({ queue, deadLetters }) => [queue, deadLetters]),
      this.lostEnds,
    ];
    const values = [
      table.tableArn,
      table.tableName,
      vectorIndex.attrIndexArn,
      ...[latents, videos].flatMap(({ bucketArn, bucketName }) => [bucketArn, bucketName]),
      ...queues.flatMap(({ queueArn, queueName, queueUrl }) => [queueArn, queueName, queueUrl]),
    ];
    for (const value of values) this.exportValue(value);
  }

  /** Grants actions on items of the table. */
  allowTable(grantee: iam.IGrantable, ...actions: `dynamodb:${string}`[]): void {
    allow(grantee, actions, [this.table.tableArn]);
  }

  /** Grants queries of indexes. */
  allowQuery(grantee: iam.IGrantable, ...indexes: TableIndex[]): void {
    allow(
      grantee,
      ['dynamodb:Query'],
      indexes.map(({ name }) => `${this.table.tableArn}/index/${name}`),
    );
  }

  allowVectors(grantee: iam.IGrantable, ...actions: `s3vectors:${string}`[]): void {
    allow(grantee, actions, [this.vectorIndex.attrIndexArn]);
  }

  /**
   * Grants actions on objects under a prefix such as `latents/`. Readers may also list the bucket: without
   * that permission S3 reports a missing object as "access denied".
   */
  allowObjects(grantee: iam.IGrantable, prefix: string, ...actions: `s3:${string}`[]): void {
    const bucket = prefix === 'videos/' ? this.videos : this.latents;
    allow(grantee, actions, [bucket.arnForObjects(`${prefix}*`)]);
    if (actions.includes('s3:GetObject')) allow(grantee, ['s3:ListBucket'], [bucket.bucketArn]);
  }

  #createTable(): dynamodb.TableV2 {
    const key = (name: string): dynamodb.Attribute => ({
      name,
      type: dynamodb.AttributeType.STRING,
    });
    return new dynamodb.TableV2(this, 'Table', {
      partitionKey: key(PARTITION_KEY),
      sortKey: key(SORT_KEY),
      billing: dynamodb.Billing.onDemand(),
      encryption: dynamodb.TableEncryptionV2.awsManagedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      timeToLiveAttribute: TIME_TO_LIVE_ATTRIBUTE,
      deletionProtection: this.#isKept,
      removalPolicy: this.#removalPolicy,
      globalSecondaryIndexes: TABLE_INDEXES.map((index) => ({
        indexName: index.name,
        partitionKey: key(index.partitionKey),
        sortKey: key(index.sortKey),
        ...(index.attributes
          ? {
              projectionType: dynamodb.ProjectionType.INCLUDE,
              nonKeyAttributes: [...index.attributes],
            }
          : { projectionType: dynamodb.ProjectionType.KEYS_ONLY }),
      })),
    });
  }

  #createBucket(id: string, rules: s3.LifecycleRule[]): s3.Bucket {
    const bucket = new s3.Bucket(this, id, {
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      removalPolicy: this.#removalPolicy,
      lifecycleRules: [
        { id: 'unfinished-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
        ...rules,
      ],
    });
    return bucket;
  }

  /** Without a name, because CloudFormation cannot replace a named index. All metadata is filterable. */
  #createVectorIndex(dimension: number): s3vectors.CfnIndex {
    const bucket = new s3vectors.CfnVectorBucket(this, 'Vectors', {
      encryptionConfiguration: { sseType: 'AES256' },
    });
    bucket.applyRemovalPolicy(this.#removalPolicy);
    const index = new s3vectors.CfnIndex(this, 'VectorIndex', {
      vectorBucketArn: bucket.attrVectorBucketArn,
      dataType: 'float32',
      dimension,
      distanceMetric: 'cosine',
      encryptionConfiguration: { sseType: 'AES256' },
    });
    index.applyRemovalPolicy(this.#removalPolicy);
    return index;
  }

  #createWorkQueue(pool: Pool): QueuePair {
    return this.#createQueue(pool === 'interactive' ? 'Interactive' : 'Backfill', {
      visibilityTimeout: WORK_VISIBILITY,
      // Longer than the lifetime of a task token, after which a message is obsolete.
      retentionPeriod: MAX_RETENTION,
      deliveries: WORK_DELIVERIES,
    });
  }

  #createQueue(
    id: string,
    { deliveries, ...props }: sqs.QueueProps & { deliveries: number },
  ): QueuePair {
    const deadLetters = new sqs.Queue(this, `${id}DeadLetters`, {
      enforceSSL: true,
      retentionPeriod: MAX_RETENTION,
      visibilityTimeout: CONSUMED_VISIBILITY,
    });
    const queue = new sqs.Queue(this, `${id}Queue`, {
      enforceSSL: true,
      receiveMessageWaitTime: Duration.seconds(20),
      deadLetterQueue: { queue: deadLetters, maxReceiveCount: deliveries },
      ...props,
    });
    return { queue, deadLetters };
  }

  #createLostEnds(): sqs.Queue {
    const queue = new sqs.Queue(this, 'LostEnds', {
      enforceSSL: true,
      retentionPeriod: MAX_RETENTION,
      visibilityTimeout: CONSUMED_VISIBILITY,
    });
    // The rules are in a stack that depends on this one, so their ARNs are not available here.
    queue.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('events.amazonaws.com')],
        actions: ['sqs:SendMessage'],
        resources: [queue.queueArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
    return queue;
  }

  get #removalPolicy(): RemovalPolicy {
    return this.#isKept ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
  }
}

/** Adds a policy statement to a role of any stack. */
export function allow(grantee: iam.IGrantable, actions: string[], resources: string[]): void {
  grantee.grantPrincipal.addToPrincipalPolicy(new iam.PolicyStatement({ actions, resources }));
}
