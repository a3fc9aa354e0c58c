import {
  BACKFILL_WRITER,
  DAY,
  GRACE,
  leftBehind,
  OWN,
  twice,
  without,
  WRITER,
  writing,
} from './beginnings.ts';
import { deleter, evictor, finisher, sweeper } from './cast.ts';
import type { Scenario } from './scenario.ts';
import { stored, submitted } from './videos.ts';
import { Violation } from './watch.ts';

/** Requests that leave something in the cache, beside whoever takes things out of it. */
export const WRITER_SCENARIOS: readonly Scenario[] = [
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
