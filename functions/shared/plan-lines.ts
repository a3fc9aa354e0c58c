import type { Backfill, BackfillDefaults } from '#core/requests/backfill.ts';
import { dayOf } from '#core/day.ts';
import { choiceOf, seedOfVideo, videosOf, type Capabilities } from '#core/requests/capabilities.ts';
import { fieldOnTheWire, FlexCacheError, InvalidInputError } from '#core/errors.ts';
import type { GenerationRequest, Job } from '#core/generation.ts';
import { guidanceOf, type GuidanceChoice } from '#core/requests/guidance.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { executionName } from '#core/requests/identity.ts';
import { newRequest } from '#core/requests/new-request.ts';
import { choiceFromWire } from '#core/requests/wire-choice.ts';
import { LineKeys } from '#readers/line-key.ts';
import { beginningOf, type ReadLine, type RequestFields } from '#readers/request-line.ts';
import type { Reservation, TenantTable } from '#ports/tenants.ts';
import type { BackfillItem, ReadableItem } from './backfill-states.ts';
import { reserveMoney } from './reserve-money.ts';

/** Videos of one backfill; a file of more is to be split. */
export const MAX_LINES = 100_000;

/** What of the model decides what a line asks for. */
export interface LineModel {
  modelRevision: string;
  /** The package's tuned number of network evaluations. */
  steps: number;
  /** What lines may choose among. */
  capabilities: Capabilities;
}

/**
 * What each line of a file asks for with the defaults of its backfill, and of a line that asks for
 * nothing that can be made, why. The same lines give the same items, in a run and in a dry run. A line that
 * asks for n videos gives those that n lines would, with seeds that count up where it names one.
 *
 * @throws InvalidInputError for more than `MAX_LINES`
 */
export async function* itemsOf(
  lines: AsyncIterable<ReadLine>,
  defaults: BackfillDefaults,
  { modelRevision, steps, capabilities }: LineModel,
): AsyncGenerator<BackfillItem> {
  const keys = new LineKeys(modelRevision, defaults);
  let count = 0;
  const countVideos = (videos: number): void => {
    count += videos;
    if (count <= MAX_LINES) return;
    throw new InvalidInputError(
      'file',
      `the file has more than ${MAX_LINES} requests`,
      'split it into smaller files',
    );
  };
  for await (const read of lines) {
    countVideos(1);
    if ('error' in read) {
      const { code, message, field = null, fix = null } = read.error;
      yield { line: read.line, text: read.text, error: { code, message, field, fix } };
      continue;
    }
    const { line, request } = read;
    let guidance: GuidanceChoice;
    try {
      guidance = choiceOf({ ...guidanceOf(defaults), ...choiceFromWire(request) }, capabilities);
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      yield refusedItem(line, request, error);
      continue;
    }
    const videos = videosOf(request);
    countVideos(videos - 1);
    for (let place = 0; place < videos; place++) {
      const { seed: first } = request;
      const seed = first === undefined ? undefined : seedOfVideo(first, place);
      const key = keys.next({ ...request, ...(seed !== undefined && { seed }) }, guidance);
      yield {
        line,
        ...(place > 0 && { video: place + 1 }),
        idempotencyKey: key.idempotencyKey,
        prompt: request.prompt,
        seed: seed ?? key.seed,
        cache: request.cache ?? defaults.cache,
        steps: request.steps ?? defaults.steps ?? steps,
        ...guidance,
      };
    }
  }
}

/** A line that asks for what the package cannot make. */
function refusedItem(
  line: number,
  { prompt }: RequestFields,
  { code, message, field, fix }: InvalidInputError,
): BackfillItem {
  const name = field === undefined ? null : fieldOnTheWire(field);
  const error = { code, message, field: name, fix: fix ?? null };
  return { line, text: beginningOf(prompt), error };
}

/** The request of a line, under the id that the same line has in every run. */
export function requestOfItem(
  { tenant, defaults }: Pick<Backfill, 'tenant' | 'defaults'>,
  item: ReadableItem,
): GenerationRequest {
  const { idempotencyKey, prompt, seed, cache, steps } = item;
  const { scope, minSimilarity, maxReuse } = defaults;
  const asked = { idempotencyKey, prompt, seed, cache, steps, ...guidanceOf(item) };
  return newRequest(
    { ...asked, tenant, scope, minSimilarity, maxReuse, pool: 'backfill' },
    { steps },
  );
}

/** What lines are admitted by. A dry run gives money of its own to reserve. */
export interface LineAdmission {
  tenants: Pick<TenantTable, 'reserve' | 'getSpending'>;
  /** Pico-dollars a day; null is no limit. */
  budgetOf: (tenant: string) => Promise<bigint | null>;
  /** What a video of so many network evaluations may take, pico-dollars. */
  estimate: (steps: number) => bigint;
}

/** Whether the video of a line is there, is in the making, or is to be made by this attempt. */
export type AdmittedLine =
  { is: 'there' } | { is: 'under way' } | { is: 'to be made'; reservation: Reservation };

/**
 * Admits a line by what the table has under its video's id, and sets money of its day aside where a
 * video is to be made.
 *
 * @param wanted what the job of the line would be
 * @param present the one that is there
 * @throws FlexCacheError `condition_failed` when the video was deleted, `budget_exceeded` when the day
 * has not so much left.
 */
export async function admitLine(
  { tenants, budgetOf, estimate }: LineAdmission,
  wanted: Pick<Job, 'videoId' | 'tenant' | 'createdAt' | 'steps'>,
  present: Job | null,
): Promise<AdmittedLine> {
  const { videoId, tenant, createdAt, steps } = present ?? wanted;
  if (present?.deletedAt !== undefined) {
    throw new FlexCacheError('condition_failed', `video ${videoId} was deleted`, {
      fix: 'ask for another seed to make another',
    });
  }
  if (present?.status === 'completed') return { is: 'there' };
  if (present !== null && !hasEnded(present)) return { is: 'under way' };
  const reservation = {
    tenant,
    day: dayOf(createdAt),
    // Each attempt is charged once.
    videoId: executionName(videoId, present === null ? 1 : present.attempt + 1),
    amount: estimate(steps),
  };
  await reserveMoney(tenants, reservation, await budgetOf(tenant));
  return { is: 'to be made', reservation };
}
