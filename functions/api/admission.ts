import { isDeepStrictEqual } from 'node:util';
import { estimateCost } from '#core/costs/cost.ts';
import { dayOf } from '#core/day.ts';
import { FlexCacheError, messageWithFix } from '#core/errors.ts';
import type { GenerationRequest, Job } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { requestOf } from '#core/requests/new-job.ts';
import { executionName, imageObjectKey } from '#core/requests/identity.ts';
import type { Reservation } from '#ports/tenants.ts';
import { reserveMoney } from '../shared/reserve-money.ts';
import { ApiError, conflict } from './api-error.ts';
import type { Caller } from './authenticate.ts';
import type { NewVideos } from './new-video.ts';
import { requireRoom } from './require-room.ts';
import type { ApiServices } from './services.ts';

type AdmissionServices = Pick<
  ApiServices,
  'table' | 'tenants' | 'objects' | 'workflow' | 'endJob' | 'prices' | 'pace' | 'interactiveWorkers'
>;

const MINUTE_MILLISECONDS = 60_000;

/** A job frees its place when it ends; nobody knows when that is. */
const PLACE_RETRY_SECONDS = 10;

/**
 * Counts a request against the tenant's rate.
 *
 * @throws ApiError 429
 */
export async function admitRequest(
  tenants: AdmissionServices['tenants'],
  { tenant, limits: { requestsPerMinute: limit } }: Caller,
): Promise<void> {
  if (limit === null) return;
  const now = Date.now();
  if (await tenants.countRequest(tenant, now, limit)) return;
  const seconds = Math.ceil((MINUTE_MILLISECONDS - (now % MINUTE_MILLISECONDS)) / 1000);
  throw new ApiError(
    429,
    'rate_limit_exceeded',
    `at most ${limit} requests that make videos are taken a minute: try again in ${seconds} s`,
    {
      headers: {
        'retry-after': String(seconds),
        'x-ratelimit-limit-requests': String(limit),
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': `${seconds}s`,
      },
    },
  );
}

/**
 * Takes in the videos of one request, all of them or none: room in the queue, a place for each among the
 * tenant's jobs, a part of its budget each; then record and start of one after the other. Whatever refuses
 * them gives back what was taken before. A job that is there already under its id is returned when it was
 * made of the same request, so that sent again under its key a request goes on where a crash left it.
 *
 * @param videos the first one first: its id tells requests of one key for other numbers of videos apart
 * @throws ApiError 400, 402, 409 or 429.
 */
export async function admitJobs(
  services: AdmissionServices,
  caller: Caller,
  { jobs: asked, imageFile }: NewVideos,
): Promise<Job[]> {
  const { table } = services;
  const wanted = await Promise.all(
    asked.map(async (job) => ({ job, present: await table.getJob(job.videoId) })),
  );
  for (const { job, present } of wanted) if (present !== null) requireSame(present, job);
  const toBeMade = wanted.filter(({ present }) => present === null || hasNeverBegun(present));
  const { concurrentJobs } = caller.limits;
  if (toBeMade.length > 0) {
    requirePossible(asked.length, concurrentJobs);
    await requireRoom(
      services,
      toBeMade.map(({ job }) => job),
    );
  }
  await using admission = new AsyncDisposableStack();
  const held = new Map<string, AsyncDisposableStack>();
  for (const { job, present } of toBeMade) {
    const own = admission.use(new AsyncDisposableStack());
    const attempt = present === null ? job.attempt : present.attempt + 1;
    await hold(services, caller, own, { ...(present ?? job), attempt });
    held.set(job.videoId, own);
  }
  const jobs: Job[] = [];
  for (const { job, present } of wanted) {
    const own = held.get(job.videoId);
    jobs.push(
      own === undefined
        ? await startAgain(services, present!)
        : await take(services, own, { job, imageFile }, present),
    );
  }
  return jobs;
}

/** A place among the tenant's jobs and money of its day for an attempt, given back with `held`. */
async function hold(
  services: AdmissionServices,
  caller: Caller,
  held: AsyncDisposableStack,
  { videoId, attempt, createdAt, steps }: Job,
): Promise<void> {
  const { tenants } = services;
  const { tenant, limits } = caller;
  await takePlace(services, caller, videoId);
  held.defer(() => tenants.freePlace(tenant, videoId));
  if (limits.budgetPerDay === null) return;
  const reservation = {
    tenant,
    day: dayOf(createdAt),
    // Each attempt is charged once.
    videoId: executionName(videoId, attempt),
    amount: estimateCost({ networkEvaluations: steps }, services.prices).total,
  };
  await reserve(services, limits.budgetPerDay, reservation);
  held.defer(() => tenants.release(reservation));
}

/** Record and start of a video whose place and money are held. */
async function take(
  services: AdmissionServices,
  held: AsyncDisposableStack,
  { job: asked, imageFile }: { job: Job } & Pick<NewVideos, 'imageFile'>,
  present: Job | null,
): Promise<Job> {
  const { table, objects } = services;
  // Before the record: a worker that reads one finds the other.
  if (imageFile !== null) {
    await objects.put(imageObjectKey(asked.videoId, asked.image!), imageFile);
  }
  const { job, created } =
    present === null
      ? await table.createJob(asked)
      : { job: await table.resubmitJob(asked.videoId), created: true };
  // The same key came twice at the same time: place and money are held under the id of both.
  if (!created) requireSame(job, asked);
  if (created) await start(services, job);
  if (created || !hasEnded(job)) held.move();
  return job;
}

/** More videos than may ever be in the making at once would be refused however long one waits. */
function requirePossible(videos: number, limit: number | null): void {
  if (limit === null || videos === 1 || videos <= limit) return;
  throw new ApiError(
    400,
    'invalid_input',
    `n ${videos} is more than the ${limit} videos that may be in the making at once: ask for fewer at once`,
    { param: 'n' },
  );
}

async function start(services: AdmissionServices, job: Job): Promise<void> {
  try {
    await services.workflow.start(requestOf(job), job.attempt);
  } catch (error) {
    // Nobody would ever take it up: it must not wait for ever.
    await services.table.failJob(job.videoId, NEVER_BEGAN, false);
    await services.endJob(await requireJob(services, job.videoId));
    throw error;
  }
}

/** A queued job may have been left by a crash between its record and its start. */
async function startAgain({ workflow }: AdmissionServices, job: Job): Promise<Job> {
  if (job.status === 'queued') await workflow.start(requestOf(job), job.attempt);
  return job;
}

const NEVER_BEGAN = {
  code: 'not_started',
  message: 'the work could not be started: send the same request again',
} as const;

function hasNeverBegun({ status, error }: Job): boolean {
  return status === 'failed' && error?.code === NEVER_BEGAN.code;
}

async function takePlace(
  services: AdmissionServices,
  { tenant, limits: { concurrentJobs: limit } }: Caller,
  videoId: string,
): Promise<void> {
  const { tenants } = services;
  if (await tenants.takePlace(tenant, videoId, limit)) return;
  if (await freeLeftPlaces(services, tenant)) {
    if (await tenants.takePlace(tenant, videoId, limit)) return;
  }
  throw new ApiError(
    429,
    'too_many_jobs',
    `${limit} videos are in progress, the concurrency limit: wait until one has ended`,
    { headers: { 'retry-after': String(PLACE_RETRY_SECONDS) } },
  );
}

/** Frees the places of jobs that ended without freeing them; true when there were any. */
async function freeLeftPlaces(services: AdmissionServices, tenant: string): Promise<boolean> {
  const { tenants } = services;
  const holders = await tenants.listPlaces(tenant);
  const freed = await Promise.all(
    holders.map(async (videoId) => {
      if (!(await isLeft(services, videoId))) return false;
      await tenants.freePlace(tenant, videoId);
      return true;
    }),
  );
  return freed.includes(true);
}

/** Holders of places without a record, by when they were first seen. */
const unrecordedSince = new Map<string, number>();

/** Much longer than it takes to write a record after its place was taken. */
const UNRECORDED_MILLISECONDS = 60_000;

async function isLeft({ table }: AdmissionServices, videoId: string): Promise<boolean> {
  const job = await table.getJob(videoId);
  if (job !== null) {
    unrecordedSince.delete(videoId);
    return hasEnded(job);
  }
  const now = Date.now();
  const since = unrecordedSince.get(videoId) ?? now;
  unrecordedSince.set(videoId, since);
  if (now - since < UNRECORDED_MILLISECONDS) return false;
  unrecordedSince.delete(videoId);
  return true;
}

async function reserve(
  { tenants }: AdmissionServices,
  budget: bigint,
  reservation: Reservation,
): Promise<void> {
  try {
    await reserveMoney(tenants, reservation, budget);
  } catch (error) {
    if (!(error instanceof FlexCacheError) || error.code !== 'budget_exceeded') throw error;
    throw new ApiError(402, 'budget_exceeded', messageWithFix(error));
  }
}

async function requireJob({ table }: AdmissionServices, videoId: string): Promise<Job> {
  const job = await table.getJob(videoId);
  if (job !== null) return job;
  throw new Error(`job ${videoId} is gone`);
}

type Asked = GenerationRequest & Pick<Job, 'webhook' | 'metadata'> & { n: number };

function askedOf(job: Job): Asked {
  const { webhook, metadata, videosOfRequest: n = 1 } = job;
  return { ...requestOf(job), webhook, metadata, n };
}

/** The key of another request must not be answered with that one's video. */
function requireSame(present: Job, asked: Job): void {
  if (present.deletedAt !== undefined) {
    throw conflict(
      'idempotency_key_used',
      'the video of this idempotency key was deleted: use a new key',
      'Idempotency-Key',
    );
  }
  const [made, wanted] = [askedOf(present), askedOf(asked)];
  for (const field of Object.keys({ ...made, ...wanted }) as (keyof Asked)[]) {
    if (isDeepStrictEqual(made[field], wanted[field])) continue;
    throw conflict(
      'idempotency_key_used',
      `the idempotency key was used for another request: its ${field} was not the same`,
      'Idempotency-Key',
    );
  }
}
