import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { dayAt } from '#core/day.ts';
import { readDenoiserEnvironment } from '#denoiser/environment.ts';
import { DENOISER_VARIABLES } from '#denoiser/variables.ts';
import { startTableServer } from '#local/table-server.ts';
import { DynamoIdleTable } from '#aws/dynamo-idle-table.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';

const MAIN = new URL('../../containers/denoiser/main.ts', import.meta.url).pathname;

const VARIABLES = {
  [DENOISER_VARIABLES.tableName]: 'table',
  [DENOISER_VARIABLES.latentsBucket]: 'latents',
  [DENOISER_VARIABLES.videosBucket]: 'videos',
  [DENOISER_VARIABLES.queueUrl]: 'http://127.0.0.1:1/queue',
  [DENOISER_VARIABLES.modelDirectory]: DEMO_PACKAGE,
  [DENOISER_VARIABLES.executionProvider]: 'cpu',
  [DENOISER_VARIABLES.instanceType]: 'g6.xlarge',
  [DENOISER_VARIABLES.purchaseOption]: 'spot',
};

function start(variables: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env['PATH'],
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      FLEXCACHE_HEALTH_FILE: join(tmpdir(), `flexcache-health-${randomUUID()}`),
      ...variables,
    },
  });
  const output: string[] = [];
  child.stdout.on('data', (data: Buffer) => output.push(data.toString()));
  const events = (): Record<string, unknown>[] =>
    output
      .join('')
      .split('\n')
      .filter((line) => line.length > 0)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { child, events, exit: once(child, 'exit') as Promise<[number | null]> };
}

describe('readDenoiserEnvironment', () => {
  it('reads every variable and knows the defaults', () => {
    expect(
      readDenoiserEnvironment({ ...VARIABLES, [DENOISER_VARIABLES.executionProvider]: undefined }),
    ).toEqual({
      tableName: 'table',
      latentsBucket: 'latents',
      videosBucket: 'videos',
      storageClass: null,
      queueUrl: 'http://127.0.0.1:1/queue',
      modelDirectory: DEMO_PACKAGE,
      modelSource: null,
      modelRevision: null,
      executionProvider: 'cuda',
      instanceType: 'g6.xlarge',
      purchaseOption: 'spot',
      metadataEndpoint: 'http://169.254.169.254',
      visibilitySeconds: null,
      stopWhenEmpty: false,
      idleSeconds: null,
      batch: 1,
      agentUri: null,
      healthFile: '/tmp/flexcache-worker-health',
    });
  });

  it('names the variable that is not set', () => {
    expect(() => readDenoiserEnvironment({ ...VARIABLES, FLEXCACHE_LATENTS_BUCKET: '' })).toThrow(
      'environment variable FLEXCACHE_LATENTS_BUCKET is not set',
    );
  });

  it.each([
    ['FLEXCACHE_PURCHASE_OPTION', 'lottery'],
    ['FLEXCACHE_STORAGE_CLASS', 'SHELF'],
    ['FLEXCACHE_STOP_WHEN_EMPTY', 'yes'],
    ['FLEXCACHE_IDLE_SECONDS', '0'],
    ['FLEXCACHE_IDLE_SECONDS', '1.5'],
    ['FLEXCACHE_VISIBILITY_SECONDS', 'long'],
    ['FLEXCACHE_BATCH', '0'],
    ['FLEXCACHE_BATCH', '65'],
  ])('names the variable %s whose value is "%s"', (name, value) => {
    expect(() => readDenoiserEnvironment({ ...VARIABLES, [name]: value })).toThrow(
      `environment variable ${name} is "${value}"`,
    );
  });
});

describe('the container process', { timeout: 60_000 }, () => {
  let server: Server | null = null;

  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    server = null;
  });

  it('ends with a log line that names the variable it misses', async () => {
    // Act
    const { events, exit } = start({});
    const [code] = await exit;

    // Assess
    expect(code).toBe(1);
    expect(events()).toMatchObject([
      { level: 'error', event: 'stopped', code: 'invalid_input', fix: 'set FLEXCACHE_TABLE' },
    ]);
  });

  it('takes no message without the GPU that it was told to use', async () => {
    // Act
    const { events, exit } = start({ ...VARIABLES, FLEXCACHE_EXECUTION_PROVIDER: 'cuda' });
    const [code] = await exit;

    // Assess
    expect(code).toBe(1);
    expect(events()).toMatchObject([{ event: 'stopped', code: 'gpu_missing' }]);
  });

  it('waits at the queue until it is told to stop, and then ends cleanly', async () => {
    // Prepare: a queue that never has a message and answers no poll.
    const polled = Promise.withResolvers<void>();
    server = createServer(() => polled.resolve()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const table = await startTableServer();
    onTestFinished(() => table.close());
    const { child, events, exit } = start({
      ...VARIABLES,
      [DENOISER_VARIABLES.tableName]: table.tableName,
      AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
      AWS_ENDPOINT_URL_SQS: endpoint,
      [DENOISER_VARIABLES.queueUrl]: `${endpoint}/1/queue`,
    });
    await polled.promise;

    // Act
    child.kill('SIGTERM');
    const [code] = await exit;

    // Assess
    expect(code).toBe(0);
    expect(events().map(({ event }) => event)).toEqual(['ready', 'stopping']);
    // What the machine was paid for belongs to no video.
    const [{ workerId, startSeconds }] = events() as [Record<string, unknown>];
    const [tail, ...others] = await new DynamoIdleTable(table.connection).listIdle(
      dayAt(Date.now()),
    );
    expect(others).toEqual([]);
    expect(tail).toMatchObject({ workerId, instanceType: 'g6.xlarge', purchaseOption: 'spot' });
    expect(tail!.seconds).toBeGreaterThan(startSeconds as number);
  });
});
