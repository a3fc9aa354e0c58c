import { newApiKey } from '#core/requests/api-key.ts';
import type { Backfill } from '#core/requests/backfill.ts';
import type { Job } from '#core/generation.ts';
import { DEFAULT_PRICE_REGION, priceBookOf } from '#core/pricing/prices.ts';
import { newTenant, NO_LIMITS } from '#core/requests/tenant.ts';
import type { ApiServices } from '#functions/api/services.ts';
import { noHits } from '#functions/shared/prediction.ts';
import { loadManifest } from '#models/manifest.ts';
import { defaultCalibration } from '#models/package-calibration.ts';
import { ObjectExistsError } from '#ports/errors.ts';
import { sha256Of } from '#ports/object-key.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';

const DEMO_PACKAGE = new URL('../containers/demo-model/package', import.meta.url).pathname;

/** Older jobs are forgotten: a long run keeps its memory. */
const MAX_KEPT = 2000;

/** Services in memory, for the speed of what is in front of them. Nothing is ever made. */
export async function memoryApi(): Promise<{
  services: ApiServices;
  key: string;
  /** Faults that callers are told nothing of. */
  faults: TelemetryEvent[];
  /** An id of the newest video and backfill, when there is one. */
  newest: () => { videoId: string | undefined; backfillId: string | undefined };
}> {
  const { manifest, revision } = await loadManifest(DEMO_PACKAGE);
  const jobs = new Map<string, Job>();
  const backfills = new Map<string, Backfill>();
  const objects = new Map<string, string>();
  const faults: TelemetryEvent[] = [];
  const tenant = newTenant('fuzz');
  const { key, record } = newApiKey({ tenant: tenant.tenant, name: 'fuzz' });

  const keep = <Value>(map: Map<string, Value>, id: string, value: Value): void => {
    map.set(id, value);
    if (map.size > MAX_KEPT) map.delete(map.keys().next().value!);
  };
  const change = (videoId: string, changes: Partial<Job>): Job => {
    const job = { ...jobs.get(videoId)!, ...changes };
    jobs.set(videoId, job);
    return job;
  };

  const services: ApiServices = {
    table: {
      async createJob(job) {
        const present = jobs.get(job.videoId);
        // As it would come back from the table.
        if (present === undefined) keep(jobs, job.videoId, JSON.parse(JSON.stringify(job)) as Job);
        return { job: jobs.get(job.videoId)!, created: present === undefined };
      },
      getJob: async (videoId) => jobs.get(videoId) ?? null,
      readQueue: async () => [],
      listJobs: async (_, { limit }) => ({
        items: [...jobs.values()].slice(0, limit),
        hasMore: jobs.size > limit,
      }),
      resubmitJob: async (videoId) => change(videoId, { status: 'queued' }),
      failJob: async (videoId, error, isCancelled) =>
        change(videoId, { error, status: isCancelled ? 'cancelled' : 'failed' }),
      requestCancel: async (videoId) => void change(videoId, { cancelRequested: true }),
      deleteJob: async (videoId) => void change(videoId, { deletedAt: new Date().toISOString() }),
      findExact: async () => null,
      getEntry: async () => null,
      moveEntry: async () => true,
      deleteEntry: async () => {},
    },
    tenants: {
      findApiKey: async (hash) => (hash === record.hash ? record : null),
      getTenant: async () => tenant,
      countRequest: async () => true,
      takePlace: async () => true,
      freePlace: async () => {},
      listPlaces: async () => [],
      reserve: async () => true,
      release: async () => {},
      getSpending: async () => 0n,
    },
    backfills: {
      async createBackfill(backfill) {
        const { backfillId } = backfill;
        const present = backfills.get(backfillId);
        if (present === undefined) keep(backfills, backfillId, structuredClone(backfill));
        return { backfill: present ?? backfill, created: present === undefined };
      },
      getBackfill: async (backfillId) => backfills.get(backfillId) ?? null,
      listBackfills: async (_, { limit }) => ({
        items: [...backfills.values()].slice(0, limit),
        hasMore: false,
      }),
      updateBackfill: async (backfillId) => backfills.get(backfillId)!,
      requestBackfillCancel: async () => {},
      async *listLines() {},
    },
    deliveries: { record: async () => {} },
    notifications: { send: async () => {} },
    objects: {
      async put(objectKey, body, options) {
        if (options?.ifNoneMatch && objects.has(objectKey)) throw new ObjectExistsError(objectKey);
        const head = { key: objectKey, bytes: body.length, sha256: sha256Of(body), modifiedAt: 0 };
        keep(objects, objectKey, head.sha256);
        return head;
      },
      head: async (objectKey) => {
        const sha256 = objects.get(objectKey);
        return sha256 === undefined ? null : { key: objectKey, bytes: 0, sha256, modifiedAt: 0 };
      },
      presign: async (objectKey) => `https://objects.example/${objectKey}`,
    },
    vectors: { delete: async () => {} },
    workflow: { start: async () => {}, stop: async () => {} },
    backfillStarter: { start: async () => {}, stop: async () => {} },
    predictor: {
      predict: async () => ({
        lines: 1,
        rejected: 0,
        refused: {},
        alreadyThere: 0,
        lookedAt: 1,
        hits: noHits(),
        stepsRun: 0,
        stepsFull: 0,
        cost: '0',
        costWithoutCache: '0',
        measuredVideos: 0,
      }),
    },
    endJob: async () => {},
    manifest,
    modelRevision: revision,
    compatibilityKey: 'compatible',
    calibration: defaultCalibration({ manifest }),
    prices: priceBookOf(DEFAULT_PRICE_REGION),
    pace: { secondsPerVideo: async () => null },
    interactiveWorkers: 1,
    videosExpireAfterDays: null,
    defaultLimits: NO_LIMITS,
    webhookPolicy: {},
    corsOrigins: [],
    telemetry: {
      log: (event) => {
        if (event.level !== 'info') faults.push(event);
      },
    },
  };
  return {
    services,
    key,
    faults,
    newest: () => ({
      videoId: [...jobs.keys()].at(-1),
      backfillId: [...backfills.keys()].at(-1),
    }),
  };
}
