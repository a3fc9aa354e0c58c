import type { GenerationRequest } from '#core/generation.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import { EVICTION_GRACE_MILLISECONDS, ORPHAN_AGE_MILLISECONDS } from '#core/retention/retention.ts';
import { Execution, leaseMilliseconds } from './execution.ts';
import type { Actor } from './scenario.ts';
import { idOf, madeFor, requestFor, stored, submitted, VECTORS } from './videos.ts';
import { Violation } from './watch.ts';
import type { World } from './world.ts';

export const MINUTE = 60_000;
/** Clocks differ by so much. */
export const SKEW = MINUTE;
export const GRACE = EVICTION_GRACE_MILLISECONDS + 3 * MINUTE;
export const LEASE = TASK_TIMEOUTS.interactive.totalSeconds * 1000 + 3 * MINUTE;
export const DAY = ORPHAN_AGE_MILLISECONDS + 3 * MINUTE;

export const DONOR = idOf('D');
export const OWN = idOf('V');
export const OTHER = idOf('W');

/** A donor in the cache, whose video is old enough to be swept. */
export async function donor(world: World): Promise<void> {
  await stored(world, requestFor(DONOR));
  world.now += DAY;
}

/** Near the donor; stores nothing. */
export const READER = requestFor(OWN, { cache: 'readonly' });
export const OTHER_READER = requestFor(OTHER, { cache: 'readonly' });
export const THIRD = requestFor(idOf('X'));
/** Asks for the donor's very video. */
export const REPEATER = requestFor(OWN, { prompt: requestFor(DONOR).prompt });
/** Near nothing. */
export const WRITER = requestFor(OWN);
export const BACKFILL_WRITER = requestFor(OWN, { pool: 'backfill' });

/** The donor is in the cache, these requests are under way. */
export function withDonor(...requests: GenerationRequest[]) {
  return async (world: World): Promise<void> => {
    await donor(world);
    for (const request of requests) await submitted(world, request);
  };
}

export function without(...requests: GenerationRequest[]) {
  return async (world: World): Promise<void> => {
    for (const request of requests) await submitted(world, request);
  };
}

/** The donor was hit once by each that leased it, however often its states were run. */
export function hitOnceBy(most: number): (world: World) => void {
  return (world) => {
    const hits = world.entry(DONOR)?.hits ?? 0;
    if (hits > most) throw new Violation(`${DONOR} counts ${hits} hits of ${most} requests`);
  };
}

export const reading = (world: World, request = READER) =>
  new Execution(world, request, { vector: VECTORS.near });
export const repeating = (world: World) => new Execution(world, REPEATER, { vector: VECTORS.same });
export const writing = (world: World, request = WRITER) => new Execution(world, request);

/** Objects that a worker put. */
export async function madeBy({ objects }: World, videoId: string): Promise<void> {
  const { video, videoKey, latent, latentKey } = madeFor(videoId);
  await objects.put(videoKey, video);
  await objects.put(latentKey, latent);
}

/** Objects that a worker put a day ago, of which it told nobody. */
export async function leftBehind(world: World, videoId: string): Promise<void> {
  await madeBy(world, videoId);
  world.now += DAY;
}

/** The donor is leased for the request, by a clock that is so far ahead. */
export function withLease(request: GenerationRequest, skew = 0) {
  return async (world: World): Promise<void> => {
    await withDonor(request)(world);
    const now = world.now + skew;
    await world.stores.table.leaseEntry({
      entryId: DONOR,
      holder: request.videoId,
      now,
      leaseUntil: now + leaseMilliseconds(request),
    });
  };
}

/** The execution, somebody who ends it from outside, and its job submitted again. */
export function twice(first: Execution): Actor[] {
  const { actor, next } = first.resubmission('user');
  return [...first.actors('first'), first.stop('stopper'), actor, ...next.actors('again')];
}
