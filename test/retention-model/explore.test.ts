import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BREAKAGES } from './breakages.ts';
import { explore, readable } from './explore.ts';
import { SCENARIOS } from './scenarios.ts';

/** What has many states is run undisturbed here, in every order; `bench/explore-retention.ts` goes on. */
const SMALL: ReadonlySet<string> = new Set([
  'reader, evictor',
  'repeater, evictor',
  'reader, sweeper',
  'writer, evictor',
  'writer, sweeper',
  'writer and a second worker a day later, sweeper',
  'writer that is stopped, deleter, sweeper',
  'second worker a day after the first died, sweeper',
  'writer that failed a day ago and is submitted again, sweeper',
]);

const MAX_DISTURBANCES_OF_BREAKAGES = 4;

// Conditions that do not hold are errors: thousands of stacks that nobody reads.
const { stackTraceLimit } = Error;
beforeAll(() => {
  Error.stackTraceLimit = 0;
});
afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit;
});

describe('retention, under every schedule of few disturbances', () => {
  test.each(SCENARIOS)('$name', async (scenario) => {
    const mostDisturbances = SMALL.has(scenario.name) ? 1 : 0;

    const { fault, ends, isComplete } = await explore(scenario, { mostDisturbances });

    expect(fault && readable(fault)).toBeNull();
    expect(isComplete).toBe(true);
    expect(ends).toBeGreaterThan(0);
  });
});

describe('a protocol that is broken on purpose is found out', () => {
  test.each(BREAKAGES)('$name', async ({ scenario, shows }) => {
    const { fault } = await explore(scenario, {
      mostDisturbances: MAX_DISTURBANCES_OF_BREAKAGES,
    });

    expect(fault?.what ?? 'nothing').toMatch(shows);
  });
});
