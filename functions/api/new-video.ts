import { createHash } from 'node:crypto';
import { choiceOf, videosOf } from '#core/requests/capabilities.ts';
import { fieldOnTheWire } from '#core/errors.ts';
import type { Job } from '#core/generation.ts';
import { imageOfFile } from '#core/requests/first-image.ts';
import { guidanceOf } from '#core/requests/guidance.ts';
import { requestCompatibilityKey } from '#core/requests/identity.ts';
import { newJob } from '#core/requests/new-job.ts';
import { newRequests, type RequestInput } from '#core/requests/new-request.ts';
import { choiceFromWire } from '#core/requests/wire-choice.ts';
import { capabilitiesOf } from '#models/capabilities.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { videoFacts } from '#models/video-facts.ts';
import { validateWebhookUrl } from '../shared/webhooks/webhook-url.ts';
import { ApiError, conflict } from './api-error.ts';
import { findVideo } from './find-video.ts';
import { fileOf } from './input-reference.ts';
import { INPUT_REFERENCE } from '../shared/resources/schemas/input-reference.ts';
import type { CreateVideoBody, RemixVideoBody } from '../shared/resources/schemas/video.ts';
import type { ApiServices } from './services.ts';
import { secondsOf } from '../shared/resources/video-object.ts';

type NewVideoServices = Pick<
  ApiServices,
  'table' | 'manifest' | 'modelRevision' | 'compatibilityKey' | 'webhookPolicy'
>;

export interface Requester {
  tenant: string;
  idempotencyKey: string | undefined;
}

/** The videos of a request, before they are taken in. */
export interface NewVideos {
  /** `n` of them. */
  jobs: Job[];
  /** The file that each of them begins with; null where they begin with none. */
  imageFile: Uint8Array | null;
}

/** What a request for videos of a prompt asks for. @throws ApiError 400 */
export function newVideos(
  services: NewVideoServices,
  asker: Requester,
  body: CreateVideoBody,
): NewVideos {
  requireModel(services.manifest, body);
  return videosOfBody(services, asker, body, {});
}

/**
 * What a request for a new prompt on an old video asks for.
 *
 * @throws ApiError 400, 404, or 409 when that video left nothing to start from.
 */
export async function newRemixes(
  services: NewVideoServices,
  asker: Requester,
  videoId: string,
  body: RemixVideoBody,
): Promise<NewVideos> {
  const { table } = services;
  const source = await findVideo(table, asker.tenant, videoId);
  if (source.status !== 'completed') {
    throw conflict(
      'video_not_completed',
      `video ${videoId} is ${source.status}: remix a completed one`,
    );
  }
  // A stored video that was returned as it is was made under an id of its own.
  const remixOf = source.result?.hit === 'exact' ? source.result.donors[0]!.entryId : videoId;
  const [entry, maker] = await Promise.all([table.getEntry(remixOf), table.getJob(remixOf)]);
  const isOurs =
    maker?.tenant === asker.tenant &&
    entry?.compatibilityKey === requestCompatibilityKey(services.compatibilityKey, maker);
  if (!isOurs || entry.state !== 'READY') {
    throw conflict(
      'video_not_reusable',
      `video ${videoId} left nothing in the cache to start from: it was made with cache off or readonly, by another model, or its entry was evicted`,
    );
  }
  const kept = { scope: entry.scope, ...guidanceOf(maker) };
  const videos = videosOfBody(services, asker, body, { remixOf, ...kept });
  const [job] = videos.jobs;
  for (const field of ['scope', 'guidanceScale', 'negativePrompt'] as const) {
    if (job![field] !== kept[field]) throw notKept(videoId, field);
  }
  if (job!.image !== maker.image) throw imageNotKept(videoId, maker);
  return videos;
}

/** Nothing is reused across scopes, nor across guidance. */
function notKept(videoId: string, field: 'scope' | 'guidanceScale' | 'negativePrompt'): ApiError {
  const param = fieldOnTheWire(field);
  return new ApiError(
    400,
    'invalid_input',
    `video ${videoId} was made with another ${param}: leave the ${param} of its remix out`,
    { param },
  );
}

/** The file of an image is gone when its video is there: whoever has it sends it again. */
function imageNotKept(videoId: string, { image }: Job): ApiError {
  return new ApiError(
    400,
    'invalid_input',
    image === undefined
      ? `video ${videoId} begins with no image: leave the ${INPUT_REFERENCE} of its remix out`
      : `video ${videoId} begins with an image: send the same ${INPUT_REFERENCE} for its remix`,
    { param: INPUT_REFERENCE },
  );
}

function videosOfBody(
  services: NewVideoServices,
  { tenant, idempotencyKey }: Requester,
  body: Omit<CreateVideoBody, 'model' | 'seconds'>,
  defaults: Pick<RequestInput, 'remixOf' | 'scope' | 'guidanceScale' | 'negativePrompt'>,
): NewVideos {
  const fields = flatten(body);
  const { seed = idempotencyKey === undefined ? undefined : seedOf(tenant, idempotencyKey) } =
    fields;
  const { cache, steps, scope = defaults.scope } = fields;
  const { min_similarity: minSimilarity, max_reuse: maxReuse } = fields;
  const { modelRevision, compatibilityKey, manifest } = services;
  const { input_reference: reference } = body;
  const imageFile = reference === undefined ? null : fileOf(reference);
  const image = imageFile === null ? undefined : imageOfFile(imageFile);
  const chosen = choiceOf(
    {
      ...defaults,
      ...choiceFromWire({ ...fields, size: body.size }),
      ...(image !== undefined && { image }),
    },
    capabilitiesOf(manifest),
  );
  const input: RequestInput = {
    prompt: body.prompt,
    tenant,
    ...definedOf({ idempotencyKey, seed, cache, steps, scope, minSimilarity, maxReuse }),
    ...chosen,
    remixOf: defaults.remixOf ?? null,
  };
  const videos = videosOf(fields);
  const requests = newRequests(input, videos, { steps: manifest.scheduler.steps });
  const { webhook, metadata = {} } = fields;
  const model = { modelRevision, compatibilityKey, facts: videoFacts(manifest) };
  const origin = {
    webhook: webhook === undefined ? null : validateWebhookUrl(webhook, services.webhookPolicy),
    metadata,
    ...(videos > 1 && { videosOfRequest: videos }),
  };
  const now = Date.now();
  return { jobs: requests.map((request) => newJob(request, model, origin, now)), imageFile };
}

type Extensions = NonNullable<CreateVideoBody['extra_params']>;

/** The extensions of a body, wherever it gives them. @throws ApiError 400 for one given twice. */
function flatten({
  extra_params: apart = {},
  ...body
}: Extensions & Pick<CreateVideoBody, 'extra_params'>): Extensions {
  for (const name of Object.keys(apart) as (keyof Extensions)[]) {
    if (body[name] === undefined) continue;
    throw new ApiError(400, 'invalid_input', `${name} is given twice: leave one of them out`, {
      param: `extra_params.${name}`,
    });
  }
  return { ...body, ...apart };
}

/** Follows from the key, so that sending the same request again asks for the same video. */
function seedOf(tenant: string, idempotencyKey: string): number {
  const key = JSON.stringify(['seed', tenant, idempotencyKey]);
  return createHash('sha256').update(key).digest().readUInt32BE();
}

type Defined<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

function definedOf<Fields extends object>(fields: Fields): Defined<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Defined<Fields>;
}

function requireModel(manifest: ModelManifest, { model, seconds }: CreateVideoBody): void {
  requireAvailable('model', model, manifest.name);
  const facts = videoFacts(manifest);
  requireAvailable(
    'seconds',
    seconds === undefined ? undefined : String(seconds),
    secondsOf(facts),
  );
}

function requireAvailable(param: string, asked: string | undefined, available: string): void {
  if (asked === undefined || asked === available) return;
  throw new ApiError(
    400,
    param === 'model' ? 'model_not_found' : 'invalid_input',
    `${param} ${JSON.stringify(asked).slice(0, 100)} is not available: use ${JSON.stringify(available)}, or leave ${param} out`,
    { param },
  );
}
