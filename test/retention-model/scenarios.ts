import {
  DAY,
  DONOR,
  donor,
  GRACE,
  LEASE,
  MINUTE,
  OTHER_READER,
  READER,
  reading,
  SKEW,
  THIRD,
  twice,
  writing,
} from './beginnings.ts';
import { deleter, evictor, pinner, sweeper } from './cast.ts';
import { READER_SCENARIOS } from './reader-scenarios.ts';
import type { Scenario } from './scenario.ts';
import { submitted } from './videos.ts';
import { WRITER_SCENARIOS } from './writer-scenarios.ts';

export const SCENARIOS: readonly Scenario[] = [...READER_SCENARIOS, ...WRITER_SCENARIOS];

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
