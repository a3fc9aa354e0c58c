import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GenerationRequest } from '#core/generation.ts';
import { checkpointObjectKey } from '#core/requests/identity.ts';
import { newJob } from '#core/requests/new-job.ts';
import { newRequest } from '#core/requests/new-request.ts';
import { DENOISER_VARIABLES } from '#denoiser/variables.ts';
import { ledgerOf } from '#core/costs/ledger.ts';
import { CUDA_WHEEL } from '#models/install/cuda-wheel.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { S3ObjectStore } from '#aws/s3-object-store.ts';
import { SqsQueue } from '#aws/sqs-queue.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { collect } from '../collect.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';
import { motoClientOptions } from '../moto.ts';
import { SAMPLE_FACTS, unique } from '../aws/samples.ts';
import { startAwsStandIn, type AwsStandIn } from './aws-stand-in.ts';
import { readDockerfile } from './dockerfile.ts';
import { COMPATIBILITY_KEY, planFor } from './fakes.ts';

const REPOSITORY_ROOT = new URL('../..', import.meta.url).pathname;
const MODULES = join(REPOSITORY_ROOT, 'node_modules');
const STEPS = 6;

const image = readDockerfile();

/** A folder laid out as the file system of the image. */
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'flexcache-image-'));
  const { command, folder } = image.build;
  expect(command.at(-1)).toBe(folder);
  execFileSync(process.execPath, [...command.slice(1, -1), join(root, image.workingDirectory)], {
    cwd: REPOSITORY_ROOT,
  });
  const model = join(root, image.environment[DENOISER_VARIABLES.modelDirectory]!);
  mkdirSync(dirname(model), { recursive: true });
  symlinkSync(DEMO_PACKAGE, model);
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

describe("the worker's image", () => {
  it('carries no module but those that cannot be bundled', () => {
    const modules = join(root, image.workingDirectory, 'node_modules');

    expect(readdirSync(modules).sort()).toEqual([
      '@img',
      'detect-libc',
      'h264-mp4-encoder',
      'onnxruntime-common',
      'onnxruntime-node',
      'semver',
      'sharp',
    ]);
    expect(readdirSync(join(modules, 'onnxruntime-node/bin/napi-v6'))).toEqual([process.platform]);
  });

  it('runs as somebody who is not root, on a CUDA runtime', () => {
    expect(Number(image.user)).toBeGreaterThan(0);
    expect(image.base).toMatch(/^nvidia\/cuda:13\..*-cudnn-runtime-/);
    expect(image.entryPoint[0]).toBe('node');
  });

  it('has the CUDA provider of its onnxruntime beside it, from the installer of its own stage', () => {
    // Prepare
    const { version } = JSON.parse(
      readFileSync(join(MODULES, 'onnxruntime-node/package.json'), 'utf8'),
    ) as { version: string };
    const { copies, command, from, folder } = image.provider;
    const stage = join(root, 'provider-stage');
    for (const [source, target] of copies) {
      const path = join(stage, target, target.endsWith('/') ? basename(source) : '');
      cpSync(join(REPOSITORY_ROOT, source), path, { recursive: true });
    }

    // Act: without Python it ends before it downloads anything
    const { status, stderr } = spawnSync(
      process.execPath,
      [...command.slice(1, -1), join(stage, 'out')],
      { cwd: stage, env: { PATH: stage }, encoding: 'utf8' },
    );

    // Assess
    expect(CUDA_WHEEL.version).toBe(version);
    expect(status).toBe(1);
    expect(stderr).toContain(
      process.platform === 'linux' ? 'python3 cannot be started' : CUDA_WHEEL.platform,
    );
    expect(command.at(-1)).toBe(from);
    expect(folder).toBe('node_modules/onnxruntime-node/bin/napi-v6/linux/x64/');
    expect(existsSync(join(root, image.workingDirectory, folder))).toBe(true);
  });

  it('is built only if every library of the CUDA provider is in it', () => {
    // Prepare
    const [, script, library, ...opened] = image.linkCheck;
    const binaries = join(MODULES, 'onnxruntime-node/bin/napi-v6/linux/x64');
    const alone = join(root, 'alone.node');
    cpSync(join(binaries, 'onnxruntime_binding.node'), alone);
    const check = (...parameters: string[]) =>
      spawnSync(
        'sh',
        [join(REPOSITORY_ROOT, 'containers/denoiser', basename(script!)), ...parameters],
        {
          encoding: 'utf8',
        },
      );

    // Assess
    expect(library).toBe(join(image.provider.folder, CUDA_WHEEL.libraries.at(-1)!.name));
    expect(opened).toEqual(['libcudnn.so.9']);
    expect(check(join(binaries, 'onnxruntime_binding.node'), 'libc.so.6').status).toBe(0);
    expect(check(alone)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('libonnxruntime.so.1'),
    });
    expect(check(join(binaries, 'onnxruntime_binding.node'), 'libnowhere.so.9')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('libnowhere.so.9'),
    });
  });
});

describeOnMoto('the worker as its image starts it', (endpoint) => {
  const clients = motoClientOptions(endpoint || 'http://127.0.0.1:9');
  const tableName = unique('table-');
  const [latents, videos] = [unique('latents-'), unique('videos-')];
  const sqs = new SQSClient(clients);
  const table = new DynamoTable({ tableName, client: new DynamoDBClient(clients) });
  const s3 = new S3Client(clients);
  const objects = new S3ObjectStore({ bucket: latents, videosBucket: videos, client: s3 });
  const started: ChildProcess[] = [];
  let aws: AwsStandIn;
  let queueUrl: string;

  beforeAll(async () => {
    await new DynamoDBClient(clients).send(new CreateTableCommand(tableDefinition(tableName)));
    for (const Bucket of [latents, videos]) await s3.send(new CreateBucketCommand({ Bucket }));
  });

  beforeEach(async () => {
    aws = await startAwsStandIn();
    const created = await sqs.send(new CreateQueueCommand({ QueueName: unique('queue-') }));
    queueUrl = created.QueueUrl!;
  });

  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
    aws.close();
  });

  function environmentOf(variables: Record<string, string>): Record<string, string> {
    return {
      PATH: process.env['PATH']!,
      ...image.environment,
      [DENOISER_VARIABLES.modelDirectory]: join(
        root,
        image.environment[DENOISER_VARIABLES.modelDirectory]!,
      ),
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL: endpoint,
      AWS_ENDPOINT_URL_SFN: aws.endpoint,
      [DENOISER_VARIABLES.metadataEndpoint]: aws.endpoint,
      [DENOISER_VARIABLES.tableName]: tableName,
      [DENOISER_VARIABLES.latentsBucket]: latents,
      [DENOISER_VARIABLES.videosBucket]: videos,
      [DENOISER_VARIABLES.queueUrl]: queueUrl,
      [DENOISER_VARIABLES.executionProvider]: 'cpu',
      [DENOISER_VARIABLES.healthFile]: join(root, 'health'),
      ...variables,
    };
  }

  /** The entry point, on this machine's Node and processor. */
  function startWorker(variables: Record<string, string> = {}) {
    const child = spawn(process.execPath, image.entryPoint.slice(1), {
      cwd: join(root, image.workingDirectory),
      env: environmentOf(variables),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.push(child);
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    const lines = (): Record<string, unknown>[] =>
      output
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    const event = (name: string) => lines().find((line) => line['event'] === name);
    return { child, exit, lines, event };
  }

  function draining(idleSeconds: number): Record<string, string> {
    return {
      [DENOISER_VARIABLES.stopWhenEmpty]: 'true',
      [DENOISER_VARIABLES.idleSeconds]: String(idleSeconds),
    };
  }

  /** What a submitter and the workflow do before a worker's turn. */
  async function submit(prompt: string, taskToken: string): Promise<GenerationRequest> {
    const request = newRequest({ prompt, tenant: 'acme', seed: 7 }, { steps: STEPS });
    const model = { modelRevision: 'r', compatibilityKey: COMPATIBILITY_KEY, facts: SAMPLE_FACTS };
    await table.createJob(newJob(request, model));
    await table.startJob(request.videoId);
    await new SqsQueue({ queueUrl, client: sqs }).send({
      taskToken,
      request,
      plan: planFor('miss', [], { steps: STEPS, fullSteps: STEPS }),
      embedding: {
        objectPhrase: null,
        backgroundPhrase: null,
        vectors: { whole: [1], object: null, background: null },
      },
      sentAt: Date.now(),
    });
    return request;
  }

  async function untilBegun({ videoId }: GenerationRequest): Promise<void> {
    await expect
      .poll(async () => (await table.getJob(videoId))!.progress, { timeout: 60_000, interval: 50 })
      .toBeGreaterThan(0);
  }

  async function visibleMessages(): Promise<number> {
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: queueUrl,
        AttributeNames: ['ApproximateNumberOfMessages'],
      }),
    );
    return Number(Attributes!.ApproximateNumberOfMessages);
  }

  it('makes a video, hands over the next one when it is told to stop, and its successor finishes it', async () => {
    // Act: one whole video
    const first = await submit('a red ball over a meadow', 'first');
    const worker = startWorker();
    await expect.poll(() => aws.successes.length, { timeout: 60_000 }).toBe(1);
    const health = spawnSync(process.execPath, image.healthCheck.slice(1), {
      cwd: join(root, image.workingDirectory),
      env: environmentOf({}),
    });

    // Assess
    const { taskToken, output } = aws.successes[0]!;
    expect(taskToken).toBe('first');
    expect(output).toMatchObject({
      hit: 'miss',
      stepsRun: STEPS,
      usage: {
        instanceType: 'g6.xlarge',
        purchaseOption: 'spot',
        networkEvaluations: STEPS,
      },
    });
    const { videoKey, posterKey, animationKey, spritesheetKey, latentKey } = output;
    for (const key of [videoKey, posterKey, animationKey, spritesheetKey, latentKey!]) {
      expect((await objects.get(key)).byteLength).toBeGreaterThan(100);
    }
    expect(health.status).toBe(0);
    await expect
      .poll(() => worker.lines().find((line) => '_aws' in line))
      .toMatchObject({
        videoId: first.videoId,
        model: 'demo-world',
        ColdStart: expect.any(Number),
      });

    // Act: the second is interrupted
    const second = await submit('a blue star in space', 'second');
    await untilBegun(second);
    worker.child.kill('SIGTERM');
    const [code] = await worker.exit;

    // Assess
    expect(code).toBe(0);
    const stepsDone = Number(worker.event('checkpoint_stored')!['stepsDone']);
    expect(stepsDone).toBeGreaterThan(0);
    expect(stepsDone).toBeLessThan(STEPS);
    expect(await visibleMessages()).toBe(1);
    expect(await objects.head(checkpointObjectKey(second.videoId))).not.toBeNull();

    // Act: a drain job takes it over and ends by itself
    const successor = startWorker(draining(1));
    const [successorCode] = await successor.exit;

    // Assess
    expect(successorCode).toBe(0);
    expect(successor.event('resumed')).toMatchObject({ videoId: second.videoId, stepsDone });
    expect(successor.event('generated')).toMatchObject({ stepsHere: STEPS - stepsDone });
    expect(aws.successes.map((success) => success.taskToken)).toEqual(['first', 'second']);
    expect(aws.successes[1]!.output.usage).toMatchObject({
      networkEvaluations: STEPS - stepsDone,
      continues: [expect.any(String)],
    });
    expect(await objects.head(checkpointObjectKey(second.videoId))).toBeNull();
    expect(await visibleMessages()).toBe(0);
    expect(aws.failures).toEqual([]);
  }, 180_000);

  it('makes one video of a message whose first worker was killed', async () => {
    // Prepare
    const visibility = { [DENOISER_VARIABLES.visibilitySeconds]: '3' };
    const request = await submit('a green ring in a forest', 'token');
    const killed = startWorker(visibility);
    await untilBegun(request);

    // Act
    killed.child.kill('SIGKILL');
    const [, signal] = await killed.exit;
    const successor = startWorker({ ...visibility, ...draining(4) });
    const [code] = await successor.exit;

    // Assess
    expect({ signal, code }).toEqual({ signal: 'SIGKILL', code: 0 });
    expect(successor.event('generated')).toMatchObject({
      videoId: request.videoId,
      stepsHere: STEPS,
    });
    expect(aws.successes).toHaveLength(1);
    const { usage } = aws.successes[0]!.output;
    expect(usage.networkEvaluations).toBe(STEPS);
    // The killed one's time is in the ledger beside the other's, as waste.
    const job = (await table.getJob(request.videoId))!;
    const [lost, ...others] = ledgerOf(job).filter(({ isUseful }) => !isUseful);
    expect(others).toEqual([]);
    expect(lost!.record.run).not.toBe(usage.run);
    expect(lost!.record.gpuSeconds).toBeGreaterThan(0);
    expect(ledgerOf(job).find(({ isUseful }) => isUseful)!.record.run).toBe(usage.run);
    const stored = await collect(objects.list(`videos/${request.videoId}/`));
    expect(stored.map(({ key }) => key.split('.').at(-1)).sort()).toEqual([
      'jpg',
      'mp4',
      'png',
      'webp',
    ]);
    expect(await visibleMessages()).toBe(0);
  }, 180_000);
});
