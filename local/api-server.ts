import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { createApi } from '#functions/api/app.ts';
import type { ApiServices, Predictor } from '#functions/api/services.ts';
import { embeddedPrices } from '#functions/shared/deployed-prices.ts';
import { endJob } from '#functions/shared/end-job.ts';
import { predict } from '#functions/predict/handler.ts';
import type { Telemetry } from '#functions/shared/telemetry.ts';
import { NO_LIMITS } from '#core/requests/tenant.ts';
import { capabilitiesOf } from '#models/capabilities.ts';
import type { EmbeddedCloud, EmbeddedCloudOptions } from './embedded-cloud.ts';
import { EmbeddedNotifications } from './embedded-notifications.ts';
import { startHttpServer } from './http-server.ts';
import { ObjectLinks, OBJECTS_PATH } from './object-links.ts';
import { serveObject } from './serve-object.ts';

export interface ApiServerOptions extends Pick<
  EmbeddedCloudOptions,
  'stateDirectory' | 'modelDirectory' | 'executionProvider' | 'batch' | 'log' | 'cacheBudgetUsd'
> {
  open: (options: EmbeddedCloudOptions) => Promise<EmbeddedCloud>;
  host: string;
  /** 0 for any that is free. */
  port: number;
  /** Under which others reach it, where that is not host and port. */
  publicUrl?: string;
  /** Whether callers may have webhooks sent to this machine, also without TLS; not unless said. */
  allowLocalWebhooks?: boolean;
  /** Origins whose pages may call it; none unless said, `*` for all. */
  corsOrigins?: readonly string[];
  telemetry: Pick<Telemetry, 'log'>;
}

/** The API with all that is behind it, on this machine. */
export interface ApiServer {
  /** Without `/v1`. */
  readonly url: string;
  readonly cloud: EmbeddedCloud;
  /** Videos that a process before this one left unfinished. */
  readonly resumed: readonly string[];
  close(): Promise<void>;
}

/** Pages read files where the API sends them; browsers name no origin after that, and the address is the key. */
const SIGNED_DOWNLOADS = cors({
  origin: '*',
  allowMethods: ['GET', 'HEAD'],
  exposeHeaders: ['Content-Length', 'Content-Range', 'ETag'],
});

/**
 * Serves the API over the embedded cloud, worker included, and goes on with what was left unfinished.
 *
 * @throws InvalidInputError when it cannot listen there, before anything else is opened; whatever
 * `openEmbeddedCloud` throws.
 * @example
 * const server = await startApiServer({ open: openEmbeddedCloud, host: '127.0.0.1', port: 0, ... });
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  await using opened = new AsyncDisposableStack();
  let answer = notReady;
  const { host, port } = options;
  const http = await startHttpServer({ fetch: (request) => answer(request), host, port });
  opened.defer(() => http.close());
  const url = options.publicUrl ?? http.origin;
  const { corsOrigins = [] } = options;
  const webhookPolicy = { allowLoopback: options.allowLocalWebhooks ?? false };
  const links = new ObjectLinks();
  const prices = embeddedPrices();
  let notifications: EmbeddedNotifications | undefined;
  const { open, stateDirectory, modelDirectory, executionProvider, log, telemetry } = options;
  const { cacheBudgetUsd = null, batch } = options;
  const cloud = await open({
    stateDirectory,
    modelDirectory,
    ...(executionProvider !== undefined && { executionProvider }),
    ...(batch !== undefined && { batch }),
    ...(log !== undefined && { log }),
    cacheBudgetUsd,
    presign: (key, presigning) => `${url}${links.sign(key, presigning)}`,
    notifications(parts) {
      notifications = new EmbeddedNotifications({
        ...parts,
        prices,
        videosExpireAfterDays: null,
        log: telemetry.log,
        posting: webhookPolicy,
      });
      return notifications;
    },
  });
  opened.defer(() => cloud.close());

  const { table } = cloud.services;
  const api = createApi({
    ...cloud.services,
    deliveries: cloud.deliveries,
    objects: cloud.objects,
    workflow: cloud.workflow,
    backfillStarter: cloud.backfills,
    predictor: embeddedPredictor(cloud, prices),
    endJob: (job) => endJob(cloud.services, job),
    manifest: cloud.manifest,
    modelRevision: cloud.modelRevision,
    prices,
    interactiveWorkers: 1,
    videosExpireAfterDays: null,
    defaultLimits: NO_LIMITS,
    webhookPolicy,
    corsOrigins,
    telemetry,
  });
  const resumed = await cloud.resumeUnfinished();
  await notifications?.resume(table.scanJobs());
  await notifications?.resume(cloud.services.backfills.scanBackfills());
  const files = new Hono();
  if (corsOrigins.length > 0) files.use(SIGNED_DOWNLOADS);
  files.all('*', ({ req }) => serveObject(cloud.objects, links, req.raw));
  answer = (request) =>
    new URL(request.url).pathname.startsWith(OBJECTS_PATH)
      ? files.fetch(request)
      : api.fetch(request);

  // Requests are answered to their end before what answers them is closed.
  const closing = opened.move();
  let closed: Promise<void> | undefined;
  return {
    url,
    cloud,
    resumed,
    close: () => (closed ??= http.close().then(() => closing.disposeAsync())),
  };
}

function notReady(_request: Request): Response | Promise<Response> {
  return new Response('starting\n', { status: 503, headers: { 'retry-after': '2' } });
}

function embeddedPredictor(cloud: EmbeddedCloud, prices: ApiServices['prices']): Predictor {
  const services = {
    ...cloud.services,
    uploads: {
      async *read(key: string) {
        yield await cloud.objects.get(key);
      },
    },
    modelRevision: cloud.modelRevision,
    steps: cloud.manifest.scheduler.steps,
    capabilities: capabilitiesOf(cloud.manifest),
    prices,
  };
  return { predict: (question) => predict(services, question) };
}
