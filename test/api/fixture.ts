import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { newApiKey } from '#core/requests/api-key.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { GenerationRequest, Job, JobResult } from '#core/generation.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { DEFAULT_PRICE_REGION, priceBookOf } from '#core/pricing/prices.ts';
import { newTenant, NO_LIMITS, type TenantLimits } from '#core/requests/tenant.ts';
import { createApi } from '#functions/api/app.ts';
import type { ApiServices, Predictor } from '#functions/api/services.ts';
import { endJob } from '#functions/shared/end-job.ts';
import { noHits } from '#functions/shared/prediction.ts';
import { costBy } from '#functions/shared/deployed-prices.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { FileObjectStore } from '#local/file-object-store.ts';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { loadManifest, type ModelPackage } from '#models/manifest.ts';
import { loadCalibration } from '#models/package-calibration.ts';
import { DynamoDeliveryLog } from '#aws/deliveries.ts';
import { DynamoBackfillTable } from '#aws/dynamo-backfills.ts';
import { DynamoTenantTable } from '#aws/dynamo-tenants.ts';
import type { Notification } from '#ports/notifications.ts';
import type { Table } from '#ports/table.ts';
import type { TenantTable } from '#ports/tenants.ts';
import { DocumentConformance } from './document-conformance.ts';
import { FakeVectors } from '../functions/fixture.ts';
import { unique } from '../aws/samples.ts';

export const DEMO_PACKAGE = new URL('../../containers/demo-model/package', import.meta.url)
  .pathname;

/** The workflow as the API sees it: takes what is started, and is out of order when told so. */
export class RecordedWorkflow {
  readonly started: { request: GenerationRequest; attempt: number }[] = [];
  readonly stopped: string[] = [];
  isBroken = false;

  async start(request: GenerationRequest, attempt: number): Promise<void> {
    if (this.isBroken) {
      throw new FlexCacheError('throttled', 'the workflow secret-arn is busy', { transient: true });
    }
    this.started.push({ request, attempt });
  }

  async stop(videoId: string): Promise<void> {
    this.stopped.push(videoId);
  }
}

export class RecordedBackfills {
  readonly started: string[] = [];
  readonly stopped: string[] = [];
  isBroken = false;

  async start(backfillId: string): Promise<void> {
    if (this.isBroken) throw new Error('the state machine is not there');
    this.started.push(backfillId);
  }

  async stop(backfillId: string): Promise<void> {
    this.stopped.push(backfillId);
  }
}

/** Every answer of every test is one that the document declares. */
const conformance = new DocumentConformance();

export interface Answer {
  status: number;
  headers: Headers;
  // Tests look into answers of every shape.
  // eslint-disable-next-line typescript/no-explicit-any
  body: any;
}

export interface CallOptions {
  key?: string | null;
  json?: unknown;
  form?: FormData;
  body?: string | ReadableStream<Uint8Array>;
  headers?: Record<string, string>;
}

/** The API over the real tables on an embedded server; workflow and GPU are not there. */
export interface ApiFixture {
  services: ApiServices;
  /** The whole of it, for what workflow and worker would do. */
  table: Table;
  tenants: TenantTable;
  workflow: RecordedWorkflow;
  backfillStarter: RecordedBackfills;
  vectors: FakeVectors;
  /** Measured seconds of a video; null at first. */
  pace: { seconds: number | null };
  notified: Notification[];
  /** Warnings and errors. */
  logged: TelemetryEvent[];
  /** Of a tenant that no other test uses. */
  tenant: string;
  key: string;
  makeTenant(limits?: Partial<TenantLimits>): Promise<{ tenant: string; key: string }>;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** A video as `POST /v1/videos` answers. */
  create(fields?: object, options?: CallOptions): Promise<Answer>;
  /** What the workflow would do: completes a job. */
  complete(videoId: string, changes?: Partial<JobResult>): Promise<Job>;
}

/** Begins each test with a tenant and a workflow of its own; the table is shared by a file. */
export function useApi(): () => ApiFixture {
  let server: TableServer;
  let modelPackage: ModelPackage;
  let fixture: ApiFixture;
  let objects: FileObjectStore;
  let folder: string;
  beforeAll(async () => {
    server = await startTableServer();
    modelPackage = await loadManifest(DEMO_PACKAGE);
    folder = await mkdtemp(join(tmpdir(), 'flexcache-api-'));
    objects = await FileObjectStore.open(folder, {
      presign: (key, { expiresSeconds }) => `https://objects.example/${key}?in=${expiresSeconds}`,
    });
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    fixture = await createFixture(server, modelPackage, objects);
  });
  return () => fixture;
}

async function createFixture(
  server: TableServer,
  modelPackage: ModelPackage,
  objects: FileObjectStore,
): Promise<ApiFixture> {
  const { manifest, revision } = modelPackage;
  const { calibration } = await loadCalibration(modelPackage);
  const tenants = new DynamoTenantTable(server.connection);
  const backfills = new DynamoBackfillTable(server.connection);
  const { table } = server;
  const workflow = new RecordedWorkflow();
  const backfillStarter = new RecordedBackfills();
  const vectors = new FakeVectors();
  const notified: Notification[] = [];
  const logged: TelemetryEvent[] = [];
  const notifications = {
    send: async (notification: Notification) => void notified.push(notification),
  };
  const costOf = costBy(priceBookOf(DEFAULT_PRICE_REGION));
  const pace = { seconds: null as number | null, secondsPerVideo: async () => pace.seconds };
  const services: ApiServices = {
    table,
    tenants,
    backfills,
    deliveries: new DynamoDeliveryLog(server.connection),
    notifications,
    objects,
    vectors,
    workflow,
    backfillStarter,
    predictor: nothingPredicted,
    endJob: (job) => endJob({ table, tenants, backfills, notifications, costOf }, job),
    manifest,
    modelRevision: revision,
    compatibilityKey: 'compatible',
    calibration,
    prices: priceBookOf(DEFAULT_PRICE_REGION),
    pace,
    interactiveWorkers: 2,
    videosExpireAfterDays: null,
    defaultLimits: NO_LIMITS,
    webhookPolicy: {},
    corsOrigins: [],
    telemetry: {
      log: (event) => {
        if (event.level !== 'info') logged.push(event);
      },
    },
  };
  const api = createApi(services);

  const makeTenant: ApiFixture['makeTenant'] = async (limits) => {
    const tenant = unique('t-').replaceAll('_', '-');
    await tenants.createTenant(newTenant(tenant));
    if (limits) await tenants.setLimits(tenant, limits);
    const { key, record } = newApiKey({ tenant, name: 'test' });
    await tenants.createApiKey(record);
    return { tenant, key };
  };
  const { tenant, key: firstKey } = await makeTenant();
  const call: ApiFixture['call'] = async (method, path, options = {}) => {
    const { key = firstKey, json, form, body, headers = {} } = options;
    const response = await api.request(path, {
      method,
      headers: {
        ...(key !== null && { authorization: `Bearer ${key}` }),
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(json !== undefined && { body: JSON.stringify(json) }),
      ...(form !== undefined && { body: form }),
      ...(body !== undefined && { body, duplex: 'half' }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      body: isJson ? JSON.parse(text) : text,
    };
    expect(conformance.differenceOf(method, path, answer)).toBeNull();
    return answer;
  };
  return {
    services,
    table,
    tenants,
    workflow,
    backfillStarter,
    vectors,
    pace,
    notified,
    logged,
    tenant,
    key: firstKey,
    makeTenant,
    call,
    create: (fields = {}, options = {}) =>
      call('POST', '/v1/videos', { json: { prompt: 'a red ball', ...fields }, ...options }),
    async complete(videoId, changes) {
      await table.startJob(videoId);
      await table.completeJob(videoId, sampleResult(videoId, changes));
      const job = (await table.getJob(videoId))!;
      await services.endJob(job);
      return job;
    },
  };
}

/** A predictor of nothing, for tests of what is around it. */
const nothingPredicted: Predictor = {
  predict: async ({ source }) => ({
    lines: 'prompts' in source ? source.prompts.length : 0,
    rejected: 0,
    refused: {},
    alreadyThere: 0,
    lookedAt: 0,
    hits: noHits(),
    stepsRun: 0,
    stepsFull: 0,
    cost: '0',
    costWithoutCache: parseUsd('1', 'cost').toString(),
    measuredVideos: 0,
  }),
};

export function sampleResult(videoId: string, changes: Partial<JobResult> = {}): JobResult {
  return {
    hit: 'miss',
    donors: [],
    startTime: 1,
    stepsRun: 10,
    fullSteps: 10,
    videoKey: `videos/${videoId}/1.mp4`,
    posterKey: `videos/${videoId}/1.png`,
    animationKey: `videos/${videoId}/1.webp`,
    spritesheetKey: `videos/${videoId}/1.jpg`,
    videoBytes: 1000,
    latentBytes: 100,
    seconds: { embed: 0.1, lookup: 0.1, queue: 0.1, generate: 1, commit: 0.1, total: 1.4 },
    ...changes,
  };
}
