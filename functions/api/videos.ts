import { ConditionFailedError } from '#core/errors.ts';
import type { Job } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { removeEntry } from '#ports/remove-entry.ts';
import { admitJobs, admitRequest } from './admission.ts';
import { ApiError, conflict } from './api-error.ts';
import { endpoint, type Call, type Endpoint } from './endpoint.ts';
import { findVideo, requirePlaceInList } from './find-video.ts';
import { MAX_INPUT_CHARACTERS } from './input-reference.ts';
import { newRemixes, newVideos, type NewVideos } from './new-video.ts';
import { pageObject } from './page-object.ts';
import { QueuePlaces } from '../shared/resources/queue-places.ts';
import { redeliver } from './redeliver.ts';
import {
  contentQuerySchema,
  createVideoSchema,
  deletedVideoSchema,
  remixVideoSchema,
  videoListSchema,
  videoOrListSchema,
  videoPageQuerySchema,
  videoSchema,
  type Variant,
} from '../shared/resources/schemas/video.ts';
import { LINK_SECONDS } from '../shared/resources/backfill-object.ts';
import type { ApiServices } from './services.ts';
import { videoObject } from '../shared/resources/video-object.ts';

/** The largest first image; a prompt of the longest kind, all labels, and the rest several times over. */
const VIDEO_BODY_BYTES = MAX_INPUT_CHARACTERS + 256 * 1024;

async function admit(
  { services, caller }: Call<unknown, unknown>,
  makeVideos: () => NewVideos | Promise<NewVideos>,
): Promise<unknown> {
  await admitRequest(services.tenants, caller);
  const jobs = await admitJobs(services, caller, await makeVideos());
  for (const { videoId, tenant } of jobs) {
    services.telemetry.log({ level: 'info', event: 'video_taken_in', videoId, tenant });
  }
  const places = new QueuePlaces(services.table);
  const videos = await Promise.all(jobs.map((job) => videoObject(services, job, places)));
  return videos.length === 1 ? videos[0] : pageObject(videos, false);
}

const TAKEN_IN = {
  status: 200,
  description: 'The video, queued; where `n` is above 1 a list of its videos, by seed.',
  schema: videoOrListSchema,
} as const;

const createVideo = endpoint({
  method: 'post',
  path: '/v1/videos',
  operationId: 'createVideo',
  tag: 'videos',
  summary: 'Make a video',
  body: { schema: createVideoSchema, limitBytes: VIDEO_BODY_BYTES, acceptsForm: true },
  isIdempotent: true,
  answer: TAKEN_IN,
  errors: [402, 409, 429],
  handle: (call) => admit(call, () => newVideos(call.services, askerOf(call), call.body)),
});

const remixVideo = endpoint({
  method: 'post',
  path: '/v1/videos/{id}/remix',
  operationId: 'remixVideo',
  tag: 'videos',
  summary: 'Make a video of a new prompt that starts from an old video',
  description:
    'The old video is the only donor. Its scope is kept; it must be completed and have left an entry in the cache.',
  body: { schema: remixVideoSchema, limitBytes: VIDEO_BODY_BYTES, acceptsForm: true },
  isIdempotent: true,
  answer: TAKEN_IN,
  errors: [402, 404, 409, 429],
  handle: (call) => admit(call, () => newRemixes(call.services, askerOf(call), call.id, call.body)),
});

const listVideos = endpoint({
  method: 'get',
  path: '/v1/videos',
  operationId: 'listVideos',
  tag: 'videos',
  summary: 'List videos',
  query: videoPageQuerySchema,
  answer: { status: 200, description: 'A page of videos.', schema: videoListSchema },
  errors: [404],
  async handle({ services, caller, query: { limit, order, after } }) {
    if (after !== undefined) await requirePlaceInList(services.table, caller.tenant, after);
    const page = await services.table.listJobs(caller.tenant, {
      limit,
      order,
      ...(after !== undefined && { after }),
    });
    const places = new QueuePlaces(services.table);
    const videos = await Promise.all(page.items.map((job) => videoObject(services, job, places)));
    return pageObject(videos, page.hasMore);
  },
});

const getVideo = endpoint({
  method: 'get',
  path: '/v1/videos/{id}',
  operationId: 'getVideo',
  tag: 'videos',
  summary: 'Read a video',
  answer: { status: 200, description: 'The video.', schema: videoSchema },
  errors: [404],
  handle: async ({ services, caller, id }) =>
    videoObject(services, await findVideo(services.table, caller.tenant, id)),
});

const KEY_OF_VARIANT = {
  video: 'videoKey',
  thumbnail: 'posterKey',
  spritesheet: 'spritesheetKey',
} as const satisfies Record<Variant, keyof NonNullable<Job['result']>>;

const getContent = endpoint({
  method: 'get',
  path: '/v1/videos/{id}/content',
  operationId: 'getVideoContent',
  tag: 'videos',
  summary: 'Download a video',
  description: `Leads to an address from which anybody may download it for an hour. \`thumbnail\` is a PNG, \`spritesheet\` a JPEG.`,
  query: contentQuerySchema,
  answer: { status: 302, description: 'Where it is.' },
  errors: [404, 409],
  async handle({ services, caller, id, query: { variant = 'video' } }) {
    const { status, result, videoId } = await findVideo(services.table, caller.tenant, id);
    if (result === undefined) {
      throw conflict(
        'video_not_completed',
        `video ${videoId} is ${status}: there is nothing to download`,
      );
    }
    const key = result[KEY_OF_VARIANT[variant]];
    if ((await services.objects.head(key)) === null) {
      throw new ApiError(
        404,
        'content_gone',
        `the file of video ${videoId} is not kept any more: ask for its prompt and seed again to have it made again`,
        { param: 'id' },
      );
    }
    const extension = key.slice(key.lastIndexOf('.') + 1);
    return services.objects.presign(key, {
      expiresSeconds: LINK_SECONDS,
      contentType: CONTENT_TYPES[extension] ?? 'application/octet-stream',
      fileName: `${videoId}.${extension}`,
    });
  },
});

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  mp4: 'video/mp4',
  png: 'image/png',
  jpg: 'image/jpeg',
};

const deleteVideo = endpoint({
  method: 'delete',
  path: '/v1/videos/{id}',
  operationId: 'deleteVideo',
  tag: 'videos',
  summary: 'Delete a video, or cancel it while it is in progress',
  description:
    'A video that is not finished is cancelled: the worker stops within one step, nothing is cached, and the video can still be read, however often the request is sent. A finished one is gone: for its owner at once, and from the cache, so that nothing is made from it any more.',
  answer: { status: 200, description: 'What was done.', schema: deletedVideoSchema },
  errors: [404, 409],
  async handle({ services, caller, id }) {
    const job = await findVideo(services.table, caller.tenant, id);
    if (!hasEnded(job)) await cancel(services, job);
    const isCancelled = !hasEnded(job) || job.status === 'cancelled';
    if (!isCancelled) await forget(services, job);
    return { id, object: 'video.deleted', deleted: !isCancelled };
  },
});

/** The entry goes first: a video that is gone for its owner must not live on in others'. */
async function forget({ table, vectors }: ApiServices, { videoId }: Job): Promise<void> {
  try {
    await removeEntry({ table, vectors }, videoId);
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    throw conflict(
      'video_in_use',
      `another video is being made from ${videoId} at this moment: delete it when that one has ended`,
    );
  }
  await table.deleteJob(videoId);
}

async function cancel(services: ApiServices, { videoId, attempt }: Job): Promise<void> {
  const { table, workflow } = services;
  await table.requestCancel(videoId);
  await workflow.stop(videoId, attempt);
  const job = await table.getJob(videoId);
  if (job?.status !== 'queued') return;
  // Nobody has taken it up, and if its start was lost nobody will: it ends here.
  try {
    await table.failJob(videoId, CANCELLED, true);
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
  }
  const ended = await table.getJob(videoId);
  if (ended !== null && hasEnded(ended)) await services.endJob(ended);
}

const CANCELLED = {
  code: 'cancelled',
  message: 'the video was cancelled before it began',
} as const;

function askerOf({ caller, idempotencyKey }: Call<unknown, unknown>): {
  tenant: string;
  idempotencyKey: string | undefined;
} {
  return { tenant: caller.tenant, idempotencyKey };
}

const redeliverVideo = endpoint({
  method: 'post',
  path: '/v1/videos/{id}/webhook/redeliver',
  operationId: 'redeliverVideoWebhook',
  tag: 'videos',
  summary: 'Tell the webhook of a video once more that it has ended',
  answer: { status: 200, description: 'The video; its webhook is told soon.', schema: videoSchema },
  errors: [404, 409, 429],
  async handle({ services, caller, id }) {
    await admitRequest(services.tenants, caller);
    const job = await findVideo(services.table, caller.tenant, id);
    await redeliver(services, { kind: 'video', id }, job);
    return videoObject(services, await findVideo(services.table, caller.tenant, id));
  },
});

export const VIDEO_ENDPOINTS: readonly Endpoint[] = [
  createVideo,
  listVideos,
  getVideo,
  deleteVideo,
  getContent,
  remixVideo,
  redeliverVideo,
];
