import type { Job } from '#core/generation.ts';
import { exactKey } from '#core/requests/identity.ts';
import { MAX_EXPECTED_WAIT_SECONDS } from '#core/requests/task-timeouts.ts';
import { ApiError } from './api-error.ts';
import type { ApiServices } from './services.ts';

type RoomServices = Pick<ApiServices, 'table' | 'pace' | 'interactiveWorkers'>;

/** Sooner nothing has changed. */
const MIN_RETRY_SECONDS = 30;

/**
 * Lets the videos of a request in while those before the last of them are expected to be made in time: as
 * many as wait, at the pace that was measured, by as many workers as there may be. Nothing is refused before
 * a first video was measured, nor what is returned as it is: it needs no worker.
 *
 * @throws ApiError 429 `queue_full`, with the seconds after which there should be room.
 */
export async function requireRoom(services: RoomServices, asked: readonly Job[]): Promise<void> {
  const { table, pace, interactiveWorkers } = services;
  const [waiting, secondsPerVideo] = await Promise.all([
    table.readQueue('interactive'),
    pace.secondsPerVideo('interactive'),
  ]);
  if (secondsPerVideo === null) return;
  const waitOf = (videos: number): number =>
    ((waiting.length + videos - 1) * secondsPerVideo) / interactiveWorkers;
  if (waitOf(asked.length) <= MAX_EXPECTED_WAIT_SECONDS) return;
  const exact = await Promise.all(asked.map((job) => isExact(services, job)));
  const toBeMade = exact.filter((isThere) => !isThere).length;
  const wait = waitOf(toBeMade);
  if (toBeMade === 0 || wait <= MAX_EXPECTED_WAIT_SECONDS) return;
  const retrySeconds = Math.max(MIN_RETRY_SECONDS, Math.ceil(wait - MAX_EXPECTED_WAIT_SECONDS));
  throw new ApiError(
    429,
    'queue_full',
    `${waiting.length} videos wait, and a new one would begin in about ${Math.ceil(wait / 60)} minutes: try again in ${retrySeconds} s`,
    { headers: { 'retry-after': String(retrySeconds) } },
  );
}

/** As far as can be told without a lease. */
async function isExact(
  { table }: Pick<RoomServices, 'table'>,
  { cache, prompt, seed, steps, remixOf, compatibilityKey, scope, tenant }: Job,
): Promise<boolean> {
  if (cache === 'off' || cache === 'refresh') return false;
  const key = exactKey({ prompt, seed, steps, remixOf, compatibilityKey, scope, tenant });
  return (await table.findExact(key)) !== null;
}
