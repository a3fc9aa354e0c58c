import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BREAKAGES } from './breakages.ts';
import { runSchedule } from './random-schedule.ts';
import { CROWD } from './scenarios.ts';
import type { Simulation } from './simulation.ts';

const RUNS = 40;
const RUNS_UNTIL_FOUND = 2000;

/** Drawn schedules that are known to come upon the breakage: whether chance finds it is not asked. */
const SEED_THAT_FINDS = 1;

const schedules = fc.array(fc.nat(40), { maxLength: 300, size: 'max' });

describe('retention, under random schedules of everybody at once', () => {
  test('keeps its promises', async () => {
    let last: Simulation | undefined;
    const property = fc.asyncProperty(schedules, (picks) =>
      runSchedule(CROWD, picks, (simulation) => {
        last = simulation;
      }),
    );

    const { failed, errorInstance } = await fc.check(property, { numRuns: RUNS });

    expect(failed ? `${String(errorInstance)}\n${last?.schedule.join('\n')}` : '').toBe('');
  });

  test('a broken promise is found, and told by few disturbances', async () => {
    const { scenario } = BREAKAGES.find(({ name }) =>
      name.includes('hit after they were weighed'),
    )!;
    const property = fc.asyncProperty(schedules, (picks) => runSchedule(scenario, picks));

    const { failed, counterexample, errorInstance } = await fc.check(property, {
      numRuns: RUNS_UNTIL_FOUND,
      seed: SEED_THAT_FINDS,
    });

    expect(failed).toBe(true);
    expect(String(errorInstance)).toMatch(/hit it after it was evaluated/);
    expect(counterexample![0].filter((pick) => pick > 0).length).toBeLessThan(5);
  });
});
