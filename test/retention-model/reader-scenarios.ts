import {
  DONOR,
  GRACE,
  hitOnceBy,
  LEASE,
  madeBy,
  MINUTE,
  OTHER_READER,
  OWN,
  READER,
  reading,
  REPEATER,
  repeating,
  SKEW,
  twice,
  withDonor,
  withLease,
} from './beginnings.ts';
import { deleter, evictor, finisher, pinner, sweeper } from './cast.ts';
import { leaseMilliseconds } from './execution.ts';
import type { Scenario } from './scenario.ts';
import { madeFor } from './videos.ts';

/** Requests that start from what is in the cache, beside whoever takes things out of it. */
export const READER_SCENARIOS: readonly Scenario[] = [
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
];
