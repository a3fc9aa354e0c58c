import type { StorageClass } from '@aws-sdk/client-s3';
import type { Calibration } from '#core/planning/calibration.ts';
import type { PricedJob } from '#core/costs/cost.ts';
import { FlexCacheError } from '#core/errors.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import type { JudgedAttribute } from '#core/planning/shown-attributes.ts';
import type { VectorTraits } from '#core/planning/verify-donor.ts';
import { lookupTraits, type LookupTraits } from '#models/lookup-traits.ts';
import {
  compatibilityOf,
  loadManifest,
  type ModelPackage,
  type PackageFileName,
} from '#models/manifest.ts';
import type { TextEmbedder } from '#models/model.ts';
import {
  calibrationEvent,
  loadCalibration,
  type LoadedCalibration,
} from '#models/package-calibration.ts';
import type { PromptSplitter } from '#models/prompt-splitter.ts';
import type { PromptReader } from '#models/tokenizer.ts';
import { DynamoBackfillTable } from '#aws/dynamo-backfills.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { measuredIndexSize } from '#ports/measured-index-size.ts';
import { DynamoTenantTable } from '#aws/dynamo-tenants.ts';
import type { ObjectStore } from '#ports/objects.ts';
import { S3ObjectStore } from '#aws/s3-object-store.ts';
import { S3VectorIndex, type IndexSizer, type S3VectorIndexOptions } from '#aws/s3-vector-index.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import { DynamoPaceTable } from '#aws/dynamo-pace-table.ts';
import type { NotificationQueue } from '#ports/notifications.ts';
import type { PaceTable } from '#ports/pace-table.ts';
import { SqsNotificationQueue } from '#aws/sqs-notification-queue.ts';
import type { Table } from '#ports/table.ts';
import type { TenantTable } from '#ports/tenants.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import { BackfillTime } from './backfill-time.ts';
import { costBy, deployedPrices } from './deployed-prices.ts';
import { deployedTelemetry } from './deployed-telemetry.ts';
import { ENVIRONMENT } from './environment.ts';
import { inInvocation, type InvocationContext } from './invocation.ts';

/** What the functions work with. Deployed it comes from AWS, embedded from this machine. */
export interface Services {
  table: Table;
  vectors: VectorIndex;
  /** Which videos are there still. */
  objects: Pick<ObjectStore, 'head'>;
  embedder: TextEmbedder;
  splitter: PromptSplitter;
  reader: PromptReader;
  calibration: Calibration;
  /** Of the package. Entries and vectors are looked up and stored inside that of their request (`partitionOf`). */
  compatibilityKey: string;
  /** What the package's judge tells of a latent; nothing without a judge. */
  judged?: readonly JudgedAttribute[];
  /** What the package's vectors tell; all unless given. */
  traits?: VectorTraits;
  tenants: TenantTable;
  backfills: BackfillTable;
  notifications: NotificationQueue;
  /** How long videos keep their workers. */
  pace: PaceTable;
  /** What the usage records of a job cost, pico-dollars. */
  costOf: (job: PricedJob) => bigint;
}

export function deployedTable(): Table {
  return new DynamoTable({ tableName: variable(ENVIRONMENT.tableName) });
}

export function deployedVectors(options: Pick<S3VectorIndexOptions, 'size'> = {}): VectorIndex {
  return new S3VectorIndex({
    index: { indexArn: variable(ENVIRONMENT.vectorIndexArn) },
    ...options,
  });
}

/** For the bill of those who query the index. */
export function deployedIndexSize(): IndexSizer {
  const retention = new DynamoRetentionTable({ tableName: variable(ENVIRONMENT.tableName) });
  return measuredIndexSize({ retention });
}

export function deployedTenants(): TenantTable {
  return new DynamoTenantTable({ tableName: variable(ENVIRONMENT.tableName) });
}

export function deployedBackfills(): BackfillTable {
  return new DynamoBackfillTable({ tableName: variable(ENVIRONMENT.tableName) });
}

export function deployedPace(): PaceTable {
  return new DynamoPaceTable({ tableName: variable(ENVIRONMENT.tableName) });
}

export function deployedBackfillTime(): BackfillTime {
  return new BackfillTime(deployedPace(), numericVariable(ENVIRONMENT.backfillMax));
}

export function deployedNotifications(): NotificationQueue {
  return new SqsNotificationQueue({ queueUrl: variable(ENVIRONMENT.webhookQueueUrl) });
}

/** What follows the end of a job works with these, beside the table. */
export function deployedJobEnd(): Pick<
  Services,
  'tenants' | 'backfills' | 'notifications' | 'costOf'
> {
  return {
    tenants: deployedTenants(),
    backfills: deployedBackfills(),
    notifications: deployedNotifications(),
    costOf: costBy(deployedPrices()),
  };
}

/** The two buckets as one store: videos are kept by other rules than the rest. */
export function deployedObjects(): ObjectStore {
  return new S3ObjectStore({
    bucket: variable(ENVIRONMENT.latentsBucket),
    videosBucket: variable(ENVIRONMENT.videosBucket),
    storageClass: variable(ENVIRONMENT.storageClass) as StorageClass,
  });
}

/** A function has the manifest and, of the networks, those alone that its layer was given. */
export function deployedModel(files: readonly PackageFileName[] = []): Promise<ModelPackage> {
  return loadManifest(variable(ENVIRONMENT.modelDirectory), { files });
}

/** Days until videos are deleted; null where they are kept. */
export function deployedVideoDays(): number | null {
  const days = process.env[ENVIRONMENT.videosExpireAfterDays] ?? '';
  return days === '' ? null : Number(days);
}

/** Under which the entries of a package are found. */
export function packageKey(modelPackage: ModelPackage): string {
  return compatibilityKey(compatibilityOf(modelPackage));
}

/** What of a model package decides about donors. */
export function reuseRules(
  modelPackage: ModelPackage,
  { calibration }: Pick<LoadedCalibration, 'calibration'>,
): Pick<Services, 'calibration' | 'compatibilityKey' | 'judged'> & { traits: LookupTraits } {
  return {
    calibration,
    compatibilityKey: packageKey(modelPackage),
    judged: modelPackage.manifest.judge?.attributes ?? [],
    traits: lookupTraits(modelPackage.manifest),
  };
}

/** The same of a deployed package, by the calibration that was deployed with it, which is logged. */
export async function deployedRules(
  modelPackage: ModelPackage,
): Promise<ReturnType<typeof reuseRules>> {
  const loaded = await loadCalibration(modelPackage);
  deployedTelemetry().log(calibrationEvent(loaded));
  return reuseRules(modelPackage, loaded);
}

/**
 * The handler that AWS calls: made on the first call, kept while the function is warm. A creation
 * that failed is tried again by the next call.
 */
export function lazily<Input, Output>(
  create: () => Promise<(input: Input) => Promise<Output>>,
): (input: Input, context?: InvocationContext) => Promise<Output> {
  let created: Promise<(input: Input) => Promise<Output>> | undefined;
  return (input, context) =>
    inInvocation(context, async () => {
      created ??= create().catch((error: unknown) => {
        created = undefined;
        throw error;
      });
      return (await created)(input);
    });
}

/** @throws FlexCacheError naming the variable that the deployment did not set. */
export function variable(name: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  throw new FlexCacheError('internal', `environment variable ${name} is not set`, {
    field: name,
    fix: 'deploy the function with the stack of infra/workflow-stack.ts',
  });
}

/** A whole number above 0. @throws FlexCacheError naming the variable that is not one. */
export function numericVariable(name: string): number {
  const text = variable(name);
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new FlexCacheError('internal', `environment variable ${name} is "${text}"`, {
    field: name,
    fix: 'set it to a whole number above 0',
  });
}
