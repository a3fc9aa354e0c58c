import { Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as s3vectors from 'aws-cdk-lib/aws-s3vectors';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { PARTITION_KEY, SORT_KEY, TABLE_INDEXES } from '#stores/table-definition.ts';

export interface StorageStackProps extends StackProps {
  /** Elements of one vector; fixed when the index is created. */
  embeddingDimensions: number;
}

/**
 * More than the worker's own limit of deliveries: a message that breaks workers is answered by the
 * worker, which can say why, before it comes here.
 */
const DELIVERIES_BEFORE_DEAD_LETTER = 10;

/** Until a worker first renews it. */
const VISIBILITY = Duration.seconds(60);

/** Longest that SQS keeps a message. */
const LONGEST_RETENTION = Duration.days(14);

/** Everything that outlives a deployment, and the queue between workflow and workers. */
export class StorageStack extends Stack {
  readonly table: dynamodb.TableV2;
  readonly objects: s3.Bucket;
  readonly vectorIndex: s3vectors.CfnIndex;
  readonly queue: sqs.Queue;
  readonly deadLetters: sqs.Queue;

  constructor(scope: Construct, id: string, props: StorageStackProps) {
    super(scope, id, props);
    this.table = this.#createTable();
    this.objects = new s3.Bucket(this, 'Objects', {
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [
        { id: 'unfinished-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
      ],
    });
    this.vectorIndex = this.#createVectorIndex(props.embeddingDimensions);
    this.deadLetters = new sqs.Queue(this, 'DeadLetters', {
      enforceSSL: true,
      retentionPeriod: LONGEST_RETENTION,
    });
    this.queue = new sqs.Queue(this, 'Work', {
      enforceSSL: true,
      visibilityTimeout: VISIBILITY,
      retentionPeriod: Duration.days(1),
      receiveMessageWaitTime: Duration.seconds(20),
      deadLetterQueue: {
        queue: this.deadLetters,
        maxReceiveCount: DELIVERIES_BEFORE_DEAD_LETTER,
      },
    });
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
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
      globalSecondaryIndexes: TABLE_INDEXES.map((index) => ({
        indexName: index.name,
        partitionKey: key(index.partitionKey),
        sortKey: key(index.sortKey),
        projectionType: dynamodb.ProjectionType.KEYS_ONLY,
      })),
    });
  }

  /** Without a name: a named index could never be replaced. */
  #createVectorIndex(dimension: number): s3vectors.CfnIndex {
    const bucket = new s3vectors.CfnVectorBucket(this, 'Vectors', {});
    bucket.applyRemovalPolicy(RemovalPolicy.RETAIN);
    const index = new s3vectors.CfnIndex(this, 'VectorIndex', {
      vectorBucketArn: bucket.attrVectorBucketArn,
      dataType: 'float32',
      dimension,
      distanceMetric: 'cosine',
    });
    index.applyRemovalPolicy(RemovalPolicy.RETAIN);
    return index;
  }
}
