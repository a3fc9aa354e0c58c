import type { GenerationRequest } from '#core/generation.ts';
import { EVICTION_GRACE_MILLISECONDS, ORPHAN_AGE_MILLISECONDS } from '#core/retention.ts';
import { PATIENCE } from '#core/patience.ts';
import {
  deleter,
  evictor,
  Execution,
  finisher,
  leaseMilliseconds,
  pinner,
  sweeper,
} from './cast.ts';
import type { Actor, Scenario } from './simulation.ts';
import { idOf, madeFor, requestFor, stored, submitted, VECTORS } from './videos.ts';
import { Violation } from './watch.ts';
import type { World } from './world.ts';

const MINUTE = 60_000;
/** Clocks differ by so much. */
const SKEW = MINUTE;
const GRACE = EVICTION_GRACE_MILLISECONDS + 3 * MINUTE;
const LEASE = PATIENCE.interactive.totalSeconds * 1000 + 3 * MINUTE;
const DAY = ORPHAN_AGE_MILLISECONDS + 3 * MINUTE;

const DONOR = idOf('D');
const OWN = idOf('V');
const OTHER = idOf('W');

/** A donor in the cache, whose video is old enough to be swept. */
async function donor(world: World): Promise<void> {
  await stored(world, requestFor(DONOR));
  world.now += DAY;
}

/** Near the donor; stores nothing. */
const READER = requestFor(OWN, { cache: 'readonly' });
const OTHER_READER = requestFor(OTHER, { cache: 'readonly' });
const THIRD = requestFor(idOf('X'));
/** Asks for the donor's very video. */
const REPEATER = requestFor(OWN, { prompt: requestFor(DONOR).prompt });
/** Near nothing. */
export const WRITER = requestFor(OWN);
const BACKFILL_WRITER = requestFor(OWN, { pool: 'backfill' });

/** The donor is in the cache, these requests are under way. */
function withDonor(...requests: GenerationRequest[]) {
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
function hitOnceBy(most: number): (world: World) => void {
  return (world) => {
    const hits = world.entry(DONOR)?.hits ?? 0;
    if (hits > most) throw new Violation(`${DONOR} counts ${hits} hits of ${most} requests`);
  };
}

const reading = (world: World, request = READER) =>
  new Execution(world, request, { vector: VECTORS.near });
const repeating = (world: World) => new Execution(world, REPEATER, { vector: VECTORS.same });
export const writing = (world: World, request = WRITER) => new Execution(world, request);

/** Objects that a worker put. */
async function madeBy({ objects }: World, videoId: string): Promise<void> {
  const { video, videoKey, latent, latentKey } = madeFor(videoId);
  await objects.put(videoKey, video);
  await objects.put(latentKey, latent);
}

/** Objects that a worker put a day ago, of which it told nobody. */
async function leftBehind(world: World, videoId: string): Promise<void> {
  await madeBy(world, videoId);
  world.now += DAY;
}

/** The donor is leased for the request, by a clock that is so far ahead. */
function withLease(request: GenerationRequest, skew = 0) {
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
function twice(first: Execution): Actor[] {
  const { actor, next } = first.resubmission('user');
  return [...first.actors('first'), first.stop('stopper'), actor, ...next.actors('again')];
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'reader, evictor',
    fill: withDonor(READER),
    cast: (world) => [...reading(world).actors('reader'), evictor()],
    waits: [GRACE, LEASE],
    mostWaits: 2,
    mostCrashes: 1,
    atEnd: hitOnceBy(1),
  },
  {
    name: 'repeater, evictor',
    fill: withDonor(REPEATER),
    cast: (world) => [...repeating(world).actors('repeater'), evictor()],
    waits: [GRACE, LEASE],
    mostWaits: 2,
    mostCrashes: 1,
    atEnd: hitOnceBy(1),
  },
  {
    name: 'worker leased by a clock behind, evictor with a clock ahead, another behind',
    fill: withLease(READER, -SKEW),
    cast: (world) => [
      reading(world)
        .afterLookup(DONOR, world.now + leaseMilliseconds(READER))
        .worker('worker', -SKEW),
      evictor('evictor', SKEW),
      finisher('finisher', -SKEW),
    ],
    waits: [LEASE - 4 * MINUTE, GRACE],
    mostWaits: 2,
  },
  {
    name: 'pinner, evictor',
    fill: withDonor(),
    cast: () => [pinner(DONOR), evictor()],
  },
  {
    name: 'two readers, evictor',
    fill: withDonor(READER, OTHER_READER),
    cast: (world) => [
      ...reading(world).actors('reader'),
      ...reading(world, OTHER_READER).actors('other'),
      evictor(),
    ],
    waits: [GRACE],
    mostWaits: 1,
    atEnd: hitOnceBy(2),
  },
  {
    name: 'reader, pinner, evictor',
    fill: withDonor(READER),
    cast: (world) => [...reading(world).actors('reader'), pinner(DONOR), evictor()],
    mostCrashes: 1,
  },
  {
    name: 'reader, sweeper',
    fill: withDonor(READER),
    cast: (world) => [...reading(world).actors('reader'), sweeper()],
    waits: [GRACE],
    mostWaits: 1,
    mostCrashes: 1,
  },
  {
    name: 'reader of a latent that was lost, sweeper, evictor',
    fill: async (world) => {
      await withDonor(READER)(world);
      await world.objects.delete(madeFor(DONOR).latentKey);
    },
    cast: (world) => {
      const execution = reading(world);
      execution.mayLackDonors = true;
      return [...execution.actors('reader'), sweeper(), evictor()];
    },
    waits: [GRACE],
    mostWaits: 1,
    mostCrashes: 1,
    rules: { mayLoseLatents: true },
  },
  {
    name: 'repeater, deleter, evictor',
    fill: withDonor(REPEATER),
    cast: (world) => [...repeating(world).actors('repeater'), deleter(world, DONOR), evictor()],
    waits: [GRACE, LEASE],
    mostWaits: 1,
    mostCrashes: 1,
  },
  {
    name: 'repeater, deleter, finisher, sweeper',
    fill: withDonor(REPEATER),
    cast: (world) => [
      ...repeating(world).actors('repeater'),
      deleter(world, DONOR),
      finisher(),
      sweeper(),
    ],
    waits: [GRACE, LEASE],
    mostWaits: 2,
    mostCrashes: 1,
  },
  {
    name: 'writer, evictor',
    fill: without(WRITER),
    cast: (world) => [...writing(world).actors('writer'), evictor()],
    waits: [GRACE, DAY],
    mostWaits: 2,
    mostCrashes: 1,
  },
  {
    name: 'late commit, evictor',
    // Its first run stopped behind the entry.
    fill: async (world) => {
      await submitted(world, WRITER);
      await stored(world, WRITER);
    },
    cast: (world) => [
      writing(world).afterWorker(null).commit('late'),
      evictor(),
      finisher('finisher'),
      finisher('another'),
    ],
    waits: [GRACE],
    mostWaits: 1,
    mostCrashes: 1,
  },
  {
    name: 'writer, sweeper',
    fill: without(WRITER),
    cast: (world) => [...writing(world).actors('writer'), sweeper()],
    waits: [GRACE, DAY],
    mostWaits: 1,
    mostCrashes: 1,
  },
  {
    name: 'writer and a second worker a day later, sweeper',
    fill: without(BACKFILL_WRITER),
    cast: (world) => {
      const execution = writing(world, BACKFILL_WRITER);
      return [...execution.actors('writer'), execution.worker('second worker'), sweeper()];
    },
    waits: [DAY],
    mostWaits: 1,
    mostCrashes: 1,
  },
  {
    name: 'writer and a second worker with other bytes, evictor, sweeper',
    fill: without(WRITER),
    cast: (world) => {
      const execution = writing(world);
      return [
        ...execution.actors('writer'),
        execution.worker('second worker', 0, { making: 2 }),
        evictor(),
        sweeper(),
      ];
    },
    waits: [GRACE, DAY],
    mostWaits: 2,
    mostCrashes: 1,
  },
  {
    name: 'writer that is stopped and submitted again, evictor',
    fill: without(WRITER),
    cast: (world) => [...twice(writing(world)), evictor()],
    waits: [GRACE, DAY],
    mostWaits: 2,
    mostCrashes: 1,
  },
  {
    name: 'writer that is stopped and submitted again, sweeper',
    fill: without(WRITER),
    cast: (world) => [...twice(writing(world)), sweeper()],
    waits: [DAY],
    mostWaits: 1,
    mostCrashes: 1,
  },
  {
    name: 'writer that is stopped, deleter, sweeper',
    fill: without(WRITER),
    cast: (world) => {
      const execution = writing(world);
      return [
        ...execution.actors('writer'),
        execution.stop('stopper'),
        deleter(world, OWN),
        sweeper(),
      ];
    },
    waits: [DAY],
    mostWaits: 1,
    mostCrashes: 1,
    atEnd: (world) => {
      const isDeleted = world.job(OWN)!['deletedAt'] !== undefined;
      if (isDeleted && world.entry(OWN)) throw new Violation(`${OWN} was deleted and is a donor`);
    },
  },
  {
    name: 'reader that is stopped and submitted again, evictor',
    fill: withDonor(READER),
    cast: (world) => [...twice(reading(world)), evictor(), finisher()],
    waits: [GRACE],
    mostWaits: 1,
    mostCrashes: 1,
    atEnd: hitOnceBy(2),
  },
  {
    name: 'commit of what was stopped and submitted again, evictor',
    fill: async (world) => {
      await withLease(READER)(world);
      await madeBy(world, OWN);
    },
    cast: (world) => {
      const first = reading(world).afterWorker(DONOR);
      const { actor, next } = first.resubmission('user');
      return [
        first.commit('first'),
        first.stop('stopper'),
        actor,
        ...next.actors('again'),
        evictor(),
        finisher(),
      ];
    },
    waits: [GRACE],
    mostWaits: 1,
    mostCrashes: 1,
  },
  {
    name: 'second worker a day after the first died, sweeper',
    fill: async (world) => {
      await submitted(world, BACKFILL_WRITER);
      await leftBehind(world, OWN);
    },
    cast: (world) => [...writing(world, BACKFILL_WRITER).actors('second'), sweeper()],
    mostCrashes: 1,
  },
  {
    name: 'writer that failed a day ago and is submitted again, sweeper',
    fill: async (world) => {
      await submitted(world, WRITER, { status: 'failed' });
      await leftBehind(world, OWN);
    },
    cast: (world) => {
      const { actor, next } = writing(world).resubmission('user');
      return [actor, ...next.actors('again'), sweeper()];
    },
    mostCrashes: 1,
  },
];

/** @throws Error when there is none. */
export function scenarioNamed(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`there is no scenario ${name}`);
  return found;
}

/** Everybody at once: too many states to be explored. */
export const CROWD: Scenario = {
  name: 'everybody',
  fill: async (world) => {
    await donor(world);
    await submitted(world, READER);
    await submitted(world, OTHER_READER);
    await submitted(world, THIRD);
  },
  cast: (world) => [
    ...twice(reading(world)),
    ...reading(world, OTHER_READER).actors('other', SKEW),
    ...writing(world, THIRD).actors('writer', -SKEW),
    evictor('evictor', SKEW),
    evictor('another', -SKEW),
    sweeper(),
    pinner(DONOR),
    deleter(world, DONOR),
  ],
  waits: [MINUTE, GRACE, LEASE, DAY],
  mostWaits: 4,
  mostCrashes: 4,
};
