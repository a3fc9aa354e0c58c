import { videoFacts } from '#models/video-facts.ts';
import { DescribeServicesCommand, ECSClient } from '@aws-sdk/client-ecs';
import { DescribeExecutionCommand, SFNClient } from '@aws-sdk/client-sfn';
import { ListVectorsCommand, S3VectorsClient } from '@aws-sdk/client-s3vectors';
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { decodeLatent } from '#codec/decode-latent.ts';
import { costOfJob } from '#core/costs/cost.ts';
import type { GenerationRequest, Job } from '#core/generation.ts';
import { executionName } from '#core/requests/identity.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { newJob } from '#core/requests/new-job.ts';
import { newRequest, type RequestInput } from '#core/requests/new-request.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { createWorker, type WorkerEvent } from '#denoiser/worker.ts';
import { finishEvictions } from '#retention/finish-evictions.ts';
import { packageKey, reuseRules } from '#functions/shared/services.ts';
import { sweep } from '#retention/sweep/sweep.ts';
import { loadManifest, type ModelPackage } from '#models/manifest.ts';
import { loadCalibration } from '#models/package-calibration.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { S3ObjectStore } from '#aws/s3-object-store.ts';
import { S3VectorIndex } from '#aws/s3-vector-index.ts';
import { SfnTaskCallbacks, SfnWorkflowStarter } from '#aws/sfn-workflow.ts';
import { SqsQueue } from '#aws/sqs-queue.ts';
import { collect } from '../collect.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';
import { motoClientOptions, motoIsReady, startMoto } from '../moto.ts';
import { FunctionRunner, type Handler } from './function-runner.ts';
import { deployOnMoto, type MotoDeployment } from './moto-deployment.ts';
import { startQueryVectorsProxy } from './query-vectors-proxy.ts';

const TENANT = 'tenant';

describeOnMoto('a deployment on moto', () => {
  // A server of its own: whether it runs state machines is decided for all of it.
  let moto: Awaited<ReturnType<typeof startMoto>>;
  let endpoint: string;
  let modelPackage: ModelPackage;
  let deployment: MotoDeployment;
  let table: DynamoTable;
  let objects: S3ObjectStore;
  let runner: FunctionRunner;
  let proxy: Awaited<ReturnType<typeof startQueryVectorsProxy>>;
  let model: OnnxVideoModel;
  let worker: Promise<void>;
  const workerEvents: WorkerEvent[] = [];
  const shutdown = new AbortController();
  const sfn = () => new SFNClient(motoClientOptions(endpoint));

  beforeAll(async () => {
    moto = await startMoto();
    endpoint = moto.state.endpoint!;
    await motoIsReady(endpoint);
    await fetch(`${endpoint}/moto-api/config`, {
      method: 'POST',
      body: JSON.stringify({ stepfunctions: { execute_state_machine: true } }),
    });
    modelPackage = await loadManifest(DEMO_PACKAGE);
    deployment = await deployOnMoto(endpoint, modelPackage.manifest.embedding.dimensions);
    proxy = await startQueryVectorsProxy(endpoint);
    // What AWS and the stack tell a function; its clients find moto by it.
    const environment = {
      ...deployment.environment,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL: endpoint,
      AWS_ENDPOINT_URL_S3VECTORS: proxy.endpoint,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '512',
      POWERTOOLS_LOG_LEVEL: 'SILENT',
      POWERTOOLS_METRICS_DISABLED: 'true',
    };
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);

    table = new DynamoTable({ tableName: deployment.tableName });
    objects = new S3ObjectStore({
      bucket: deployment.latentsBucket,
      videosBucket: deployment.videosBucket,
    });
    runner = new FunctionRunner(endpoint, deployment.queues.functions, await deployedHandlers());
    runner.start();
    model = await OnnxVideoModel.open(modelPackage);
    worker = createWorker({
      model,
      manifest: modelPackage.manifest,
      ...reuseRules(modelPackage, await loadCalibration(modelPackage)),
      objects,
      table,
      queue: new SqsQueue({ queueUrl: deployment.queues.interactive }),
      callbacks: new SfnTaskCallbacks(),
      machine: { instanceType: 'g6.xlarge', purchaseOption: 'spot' },
      log: (event) => void workerEvents.push(event),
      settings: { receiveWaitSeconds: 1 },
    }).run(shutdown.signal);
    worker.catch(() => {});
  }, 240_000);

  afterAll(async () => {
    shutdown.abort();
    await Promise.all([worker, runner?.stop()]);
    await model?.close();
    await proxy?.close();
    vi.unstubAllEnvs();
    moto?.stop();
  });

  /** Submits as the API and the command do: the job first, then the execution. */
  async function submit(input: Omit<RequestInput, 'tenant'>): Promise<GenerationRequest> {
    const { manifest, revision: modelRevision } = modelPackage;
    const request = newRequest({ tenant: TENANT, ...input }, manifest.scheduler);
    const compatibilityKey = packageKey(modelPackage);
    const { job } = await table.createJob(
      newJob(request, { modelRevision, compatibilityKey, facts: videoFacts(manifest) }),
    );
    const starter = new SfnWorkflowStarter({ stateMachineArn: deployment.stateMachineArn });
    await starter.start(request, job.attempt);
    return request;
  }

  async function execution(videoId: string) {
    const executionArn = `${deployment.stateMachineArn.replace(':stateMachine:', ':execution:')}:${executionName(videoId, 1)}`;
    for (;;) {
      const described = await sfn().send(new DescribeExecutionCommand({ executionArn }));
      if (described.status !== 'RUNNING') return described;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async function generate(input: Omit<RequestInput, 'tenant'>): Promise<Job> {
    const { videoId } = await submit(input);
    const { status, error, cause } = await execution(videoId);
    expect({ status, error, cause }).toMatchObject({ status: 'SUCCEEDED' });
    return (await table.getJob(videoId))!;
  }

  async function vectorKeys(): Promise<string[]> {
    const client = new S3VectorsClient(motoClientOptions(endpoint));
    const { vectors } = await client.send(
      new ListVectorsCommand({ indexArn: deployment.vectorIndexArn }),
    );
    return vectors!.map(({ key }) => key!).sort();
  }

  let first: Job;
  let second: Job;
  let third: Job;

  test('makes a first video in full and keeps what it leaves behind', async () => {
    first = await generate({ prompt: 'a small blue star rising over the ocean at dawn', seed: 1 });

    const { steps } = modelPackage.manifest.scheduler;
    expect(first).toMatchObject({ status: 'completed', progress: 100 });
    expect(first.result).toMatchObject({ hit: 'miss', stepsRun: steps, fullSteps: steps });
    const entry = await table.getEntry(first.videoId);
    expect(entry).toMatchObject({ state: 'READY', tenant: TENANT, reuseDepth: 0, hits: 0 });
    const container = await objects.get(entry!.latentKey);
    expect(container.byteLength).toBe(entry!.latentBytes);
    expect(decodeLatent(container, entry!).whole.shape).toEqual([16, 8, 16, 16]);
    expect(await vectorKeys()).toEqual(
      ['background', 'object', 'whole'].map((part) => `${part}#${first.videoId}`),
    );
  }, 240_000);

  test('wakes the GPU service', async () => {
    const ecs = new ECSClient(motoClientOptions(endpoint));
    const { cluster, service } = deployment;

    const { services } = await ecs.send(
      new DescribeServicesCommand({ cluster, services: [service] }),
    );

    expect(services).toMatchObject([{ desiredCount: 1 }]);
  });

  test('starts another prompt from the first video', async () => {
    second = await generate({
      prompt: 'at sunrise, a tiny blue star rising over the sea',
      seed: 2,
    });

    expect(second.result).toMatchObject({
      hit: 'background',
      donors: [{ entryId: first.videoId, part: 'background' }],
    });
    // Not the same prompt: the index proposed it.
    expect(second.result!.donors[0]!.similarity).toBeLessThan(1);
    expect(second.result!.equivalentsRun).toBeLessThan(second.result!.fullSteps);
    expect(await table.getEntry(first.videoId)).toMatchObject({ hits: 1 });
    expect(await table.getEntry(second.videoId)).toMatchObject({ state: 'READY', reuseDepth: 1 });
  }, 240_000);

  test('answers the very same request with the very same video', async () => {
    third = await generate({ prompt: 'A small blue star  rising over the ocean at dawn', seed: 1 });

    expect(third.result).toMatchObject({
      hit: 'exact',
      stepsRun: 0,
      videoKey: first.result!.videoKey,
    });
    expect(await table.getEntry(third.videoId)).toBeNull();
    // The price of looking, and what the video that it got again had taken.
    const { total, gpu, saved } = costOfJob(third, priceBookOf('us-east-1'));
    expect(gpu).toBe(0n);
    expect(total).toBeLessThan(parseUsd('0.001', 'a tenth of a cent'));
    expect(saved).toBeGreaterThan(0n);
    expect(runner.calls.filter(({ state }) => state === 'Generate')).toHaveLength(2);
  }, 240_000);

  test('stores videos that play in their bucket and latents in the other', async () => {
    const videos = await collect(objects.list('videos/'));
    const latents = await collect(objects.list('latents/'));

    expect(videos.map(({ key }) => key).sort()).toEqual(
      [first, second]
        .flatMap(({ result }) => [
          result!.animationKey,
          result!.posterKey,
          result!.spritesheetKey,
          result!.videoKey,
        ])
        .sort(),
    );
    expect(latents).toHaveLength(2);
    const mp4 = Buffer.from(await objects.get(first.result!.videoKey));
    expect(mp4.subarray(4, 8).toString()).toBe('ftyp');
    const address = await objects.presign(first.result!.videoKey, { expiresSeconds: 60 });
    const downloaded = Buffer.from(await (await fetch(address)).arrayBuffer());
    expect(downloaded.equals(mp4)).toBe(true);
  });

  test('holds no lease and no message any more', async () => {
    const sqs = new SQSClient(motoClientOptions(endpoint));
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: deployment.queues.interactive,
        AttributeNames: ['All'],
      }),
    );

    expect(Attributes).toMatchObject({
      ApproximateNumberOfMessages: '0',
      ApproximateNumberOfMessagesNotVisible: '0',
    });
    expect(await table.moveEntry(second.videoId, 'READY', 'EVICTING', Date.now())).toBe(true);
    expect(workerEvents.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  test('evicts, and finds nothing to sweep', async () => {
    const vectors = new S3VectorIndex({ index: { indexArn: deployment.vectorIndexArn } });
    const stores = { table, vectors, objects };
    const nextDay = Date.now() + 25 * 3_600_000;

    const evicted = await finishEvictions(stores, { now: () => nextDay });
    const swept = await sweep(stores, { now: () => nextDay });

    expect(evicted).toMatchObject({ isComplete: true, latentsDeleted: 1 });
    expect(swept).toMatchObject({
      isComplete: true,
      entriesChecked: 2,
      orphanedObjects: 0,
      orphanedVectors: 0,
      restoredVectors: 0,
      entriesWithoutLatent: 0,
    });
    expect(await vectorKeys()).toHaveLength(3);
    expect(await collect(objects.list('latents/'))).toHaveLength(1);
  });

  test('fails a video that cannot be made, with a reason', async () => {
    const { videoId } = await submit({
      prompt: 'a blue ball over the sea',
      remixOf: 'vid_00000000000000000000000000',
    });

    const { status, error } = await execution(videoId);

    expect({ status, error }).toEqual({ status: 'FAILED', error: 'not_found' });
    const job = await table.getJob(videoId);
    expect(job).toMatchObject({ status: 'failed', error: { code: 'not_found' } });
    expect(job!.error!.message).toContain('is not in this part of the cache');
    const failing = runner.calls.slice(-3);
    expect(failing).toEqual([
      { state: 'Embed', isError: false },
      { state: 'Lookup', isError: true },
      { state: 'Fail', isError: false },
    ]);
  }, 60_000);
});

/** The handlers as Lambda would load them, with clients and settings from the environment alone. */
async function deployedHandlers(): Promise<Record<string, Handler>> {
  const [embed, lookup, dispatch, commit, fail] = await Promise.all([
    import('#functions/embed/handler.ts'),
    import('#functions/lookup/handler.ts'),
    import('#functions/dispatch/handler.ts'),
    import('#functions/commit/handler.ts'),
    import('#functions/fail/handler.ts'),
  ]);
  return {
    Embed: embed.handler,
    Lookup: lookup.handler,
    Generate: dispatch.handler,
    Commit: commit.handler,
    Fail: fail.handler,
  } as Record<string, Handler>;
}
