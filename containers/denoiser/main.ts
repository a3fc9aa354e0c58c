import { FlexCacheError } from '#core/errors.ts';
import { dayAt } from '#core/day.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import { newRunId } from '#core/run-id.ts';
import { compatibilityOf, loadManifest } from '#models/manifest.ts';
import { verifyPackage } from '#models/verify-package.ts';
import { loadCalibration, NOT_CALIBRATED } from '#models/package-calibration.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { DynamoIdleTable } from '#aws/dynamo-idle-table.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import type { ObjectStore } from '#ports/objects.ts';
import { S3ObjectStore } from '#aws/s3-object-store.ts';
import { SfnTaskCallbacks } from '#aws/sfn-workflow.ts';
import { SqsQueue } from '#aws/sqs-queue.ts';
import { coldStartSeconds } from './cold-start.ts';
import { readDenoiserEnvironment, type DenoiserEnvironment } from './environment.ts';
import { fetchModel } from './fetch-model.ts';
import { MAX_LOAD_SECONDS, startHealthFile } from './health-file.ts';
import { findMachine } from './machine.ts';
import { EcsTaskProtection, UNPROTECTED, type TaskProtection } from './task-protection.ts';
import { videoMetrics } from './video-metrics.ts';
import { createWorker, type WorkerEvent, type WorkerSettings } from './worker.ts';

function log(event: WorkerEvent): void {
  writeLine(JSON.stringify({ time: new Date().toISOString(), ...event }));
}

function writeLine(line: string): void {
  process.stdout.write(`${line}\n`);
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
  const health = startHealthFile(environment.healthFile);
  const machine = await findMachine(environment);

  const { modelSource, modelRevision, modelDirectory, executionProvider } = environment;
  if (modelSource !== null) {
    await fetchModel({
      source: modelSource,
      revision: modelRevision,
      directory: modelDirectory,
      onProgress: () => health.alive(),
    });
  }
  health.alive(MAX_LOAD_SECONDS);
  const modelPackage = await loadManifest(modelDirectory);
  if (modelSource === null) await verifyPackage(modelPackage);
  const { calibration, file } = await loadCalibration(modelPackage);
  const { batch } = environment;
  const model = await OnnxVideoModel.open(modelPackage, { executionProvider, batch });
  try {
    // Loads a network before the first message is taken: a machine without its GPU must not take any.
    await model.warmUp();
    health.alive();
    const table = { tableName: environment.tableName };
    const idle = new DynamoIdleTable(table);
    const workerId = newRunId();
    const startSeconds = await coldStartSeconds(idle, workerId, log);
    const { manifest, revision } = modelPackage;
    log({
      level: 'info',
      event: 'ready',
      modelRevision: revision,
      calibration: file?.digest ?? NOT_CALIBRATED,
      executionProvider,
      batch: model.batch,
      ...machine,
      startSeconds,
      workerId,
    });
    let isFirst = true;
    const worker = createWorker({
      model,
      manifest,
      calibration,
      compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
      objects: objectsOf(environment),
      table: new DynamoTable(table),
      queue: new SqsQueue({ queueUrl: environment.queueUrl }),
      callbacks: new SfnTaskCallbacks(),
      machine,
      coldStartSeconds: startSeconds,
      protection: protectionOf(environment),
      onIdleTail: (seconds) => {
        const { instanceType, purchaseOption } = machine;
        // Only the embedded worker runs on a machine that nobody pays for.
        if (purchaseOption === 'embedded') return Promise.resolve();
        const day = dayAt(Date.now());
        return idle.addIdle({ day, workerId, instanceType, purchaseOption, seconds });
      },
      log,
      onVideo: (request, plan, result) => {
        const cold = isFirst ? { coldStartSeconds: startSeconds } : {};
        isFirst = false;
        writeLine(videoMetrics({ request, plan, result, model: manifest.name, ...cold }));
      },
      onAlive: () => health.alive(),
      settings: { ...settingsOf(environment), batch: model.batch },
    });
    await worker.run(shutdown.signal);
  } finally {
    await model.close();
    health.stop();
  }
}

function objectsOf({
  latentsBucket,
  videosBucket,
  storageClass,
}: DenoiserEnvironment): ObjectStore {
  return new S3ObjectStore({
    bucket: latentsBucket,
    videosBucket,
    ...(storageClass !== null && { storageClass }),
  });
}

/** A job of Batch ends by itself, and is no task of a service. */
function protectionOf({ agentUri, stopWhenEmpty }: DenoiserEnvironment): TaskProtection {
  if (agentUri === null || stopWhenEmpty) return UNPROTECTED;
  return new EcsTaskProtection(agentUri, log);
}

function settingsOf({
  stopWhenEmpty,
  idleSeconds,
  visibilitySeconds,
}: DenoiserEnvironment): Partial<WorkerSettings> {
  return {
    stopWhenEmpty,
    ...(idleSeconds !== null && { idleSeconds }),
    ...(visibilitySeconds !== null && { visibilitySeconds }),
  };
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
