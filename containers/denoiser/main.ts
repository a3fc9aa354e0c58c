import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { DefaultCalibration } from '#core/calibration.ts';
import type { UsageRecord } from '#core/generation.ts';
import { compatibilityKey } from '#core/identity.ts';
import { compatibilityOf, loadManifest, verifyPackage } from '#models/manifest.ts';
import { EXECUTION_PROVIDERS, type ExecutionProvider } from '#models/onnx-networks.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { DynamoTable } from '#stores/dynamo-table.ts';
import { S3ObjectStore } from '#stores/s3-object-store.ts';
import { SfnTaskCallbacks } from '#stores/sfn-workflow.ts';
import { SqsQueue } from '#stores/sqs-queue.ts';
import { createWorker, type WorkerEvent } from './worker.ts';

/** Environment of the container; docs/architecture.md names the stack that sets it. */
interface Environment {
  tableName: string;
  bucket: string;
  queueUrl: string;
  modelDirectory: string;
  executionProvider: ExecutionProvider;
  instanceType: string;
  purchaseOption: NonNullable<UsageRecord['purchaseOption']>;
  /** A batch job drains the queue and ends; a service waits for more. */
  stopWhenEmpty: boolean;
}

function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const required = (name: string): string => {
    const value = variables[name];
    if (value !== undefined && value.length > 0) return value;
    throw new InvalidInputError(name, `environment variable ${name} is not set`, `set ${name}`);
  };
  const oneOf = <Value extends string>(
    name: string,
    values: readonly Value[],
    otherwise: Value,
  ): Value => {
    const given = variables[name] ?? otherwise;
    const value = values.find((candidate) => candidate === given);
    if (value !== undefined) return value;
    throw new InvalidInputError(name, `${name} is ${given}`, `use one of ${values.join(', ')}`);
  };
  return {
    tableName: required('FLEXCACHE_TABLE'),
    bucket: required('FLEXCACHE_BUCKET'),
    queueUrl: required('FLEXCACHE_QUEUE_URL'),
    modelDirectory: required('FLEXCACHE_MODEL_DIRECTORY'),
    executionProvider: oneOf('FLEXCACHE_EXECUTION_PROVIDER', EXECUTION_PROVIDERS, 'cuda'),
    instanceType: required('FLEXCACHE_INSTANCE_TYPE'),
    purchaseOption: oneOf('FLEXCACHE_PURCHASE_OPTION', ['on-demand', 'spot'], 'on-demand'),
    stopWhenEmpty: oneOf('FLEXCACHE_STOP_WHEN_EMPTY', ['true', 'false'], 'false') === 'true',
  };
}

function log(event: WorkerEvent): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
}

async function main(): Promise<void> {
  const environment = readEnvironment(process.env);
  const shutdown = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log({ level: 'info', event: 'stopping', signal });
      shutdown.abort();
    });
  }

  const modelPackage = await loadManifest(environment.modelDirectory);
  await verifyPackage(modelPackage);
  const { executionProvider } = environment;
  const model = await OnnxVideoModel.open(modelPackage, { executionProvider });
  try {
    // Loads a network before the first message is taken: a machine without its GPU must not take any.
    await model.warmUp();
    log({
      level: 'info',
      event: 'ready',
      modelRevision: modelPackage.revision,
      executionProvider,
      startSeconds: process.uptime(),
    });
    const worker = createWorker({
      model,
      manifest: modelPackage.manifest,
      calibration: new DefaultCalibration(modelPackage.manifest.lookup.thresholds),
      compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
      objects: new S3ObjectStore({ bucket: environment.bucket }),
      table: new DynamoTable({ tableName: environment.tableName }),
      queue: new SqsQueue({ queueUrl: environment.queueUrl }),
      callbacks: new SfnTaskCallbacks(),
      machine: {
        instanceType: environment.instanceType,
        purchaseOption: environment.purchaseOption,
      },
      log,
      settings: { stopWhenEmpty: environment.stopWhenEmpty },
    });
    await worker.run(shutdown.signal);
  } finally {
    await model.close();
  }
}

try {
  await main();
} catch (error) {
  const code = error instanceof FlexCacheError ? error.code : 'internal';
  const fix = error instanceof FlexCacheError ? error.fix : undefined;
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log({ level: 'error', event: 'stopped', code, message, fix });
  process.exitCode = 1;
}
