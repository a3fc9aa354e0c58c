import { FlexCacheError } from '#core/errors.ts';
import { DefaultCalibration } from '#core/calibration.ts';
import { compatibilityKey } from '#core/identity.ts';
import { compatibilityOf, loadManifest, verifyPackage } from '#models/manifest.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { DynamoTable } from '#stores/dynamo-table.ts';
import { S3ObjectStore } from '#stores/s3-object-store.ts';
import { SfnTaskCallbacks } from '#stores/sfn-workflow.ts';
import { SqsQueue } from '#stores/sqs-queue.ts';
import { readDenoiserEnvironment } from './environment.ts';
import { createWorker, type WorkerEvent } from './worker.ts';

function log(event: WorkerEvent): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
}

async function main(): Promise<void> {
  const environment = readDenoiserEnvironment(process.env);
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
      objects: new S3ObjectStore({ bucket: environment.bucketName }),
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
