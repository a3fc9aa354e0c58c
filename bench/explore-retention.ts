import { parseArgs } from 'node:util';
import { BREAKAGES } from '../test/retention-model/breakages.ts';
import { explore, readable, type Exploration } from '../test/retention-model/explore.ts';
import { runSchedule } from '../test/retention-model/random-schedule.ts';
import { CROWD, SCENARIOS } from '../test/retention-model/scenarios.ts';
import { Violation } from '../test/retention-model/watch.ts';

/**
 * Explores what retention does under every schedule, further than the tests have time for:
 *
 *     node bench/explore-retention.ts [--disturbances 2] [--seconds 60] [--only TEXT]
 *         [--random 1000] [--broken]
 *
 * Each scenario under all schedules of so many preemptions, kills and waits, for so many seconds at
 * most; then everybody at once under random schedules; with `--broken` the shortest schedules that show
 * what happens when a part of the protocol is left out. Fails when a promise is broken.
 */
const { values } = parseArgs({
  options: {
    disturbances: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '60' },
    only: { type: 'string', default: '' },
    random: { type: 'string', default: '1000' },
    broken: { type: 'boolean', default: false },
  },
});
const mostDisturbances = Number(values.disturbances);
const milliseconds = Number(values.seconds) * 1000;
const write = (line: string): void => void process.stdout.write(`${line}\n`);

// Conditions that do not hold are errors: millions of stacks that nobody reads.
Error.stackTraceLimit = 0;

if (values.broken) await showBroken();
else await showSound();

async function showSound(): Promise<void> {
  write(
    '| scenario | states | schedules | steps | ends | longest | explored | seconds of CPU | fault |',
  );
  write('|---|--:|--:|--:|--:|--:|---|--:|---|');
  const total = { states: 0, schedules: 0, steps: 0 };
  for (const scenario of SCENARIOS.filter(({ name }) => name.includes(values.only))) {
    const before = process.cpuUsage().user;
    const deadline = performance.now() + milliseconds;
    const explored = await explore(scenario, { mostDisturbances, deadline });
    const seconds = (process.cpuUsage().user - before) / 1e6;
    total.states += explored.states;
    total.schedules += explored.schedules;
    total.steps += explored.steps;
    write(rowOf(explored, seconds));
    if (explored.fault !== null) fail(readable(explored.fault));
  }
  write(`| together | ${total.states} | ${total.schedules} | ${total.steps} | | | | | |`);
  await showRandom(Number(values.random));
}

function rowOf(explored: Exploration, seconds: number): string {
  const { scenario, states, schedules, steps, ends, mostSteps, isComplete, isExhausted } = explored;
  const reach = !isComplete
    ? 'until its time was up'
    : isExhausted
      ? 'every schedule there is'
      : `every schedule of ${mostDisturbances} disturbances`;
  const fault = explored.fault === null ? 'none' : 'below';
  return `| ${[scenario, states, schedules, steps, ends, mostSteps, reach, seconds.toFixed(1), fault].join(' | ')} |`;
}

async function showRandom(runs: number): Promise<void> {
  let steps = 0;
  for (let run = 1; run <= runs; run++) {
    const picks = picksOf(run);
    let schedule: readonly string[] = [];
    try {
      await runSchedule(CROWD, picks, (simulation) => {
        ({ schedule } = simulation);
        steps += schedule.length;
      });
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      fail(
        readable({ what: `random schedule ${run}: ${error.message}`, schedule, disturbances: 0 }),
      );
    }
  }
  write(`${runs} random schedules of everybody at once, ${steps} steps.`);
}

/** A linear congruential generator (Numerical Recipes): every run is the same again by its number. */
function picksOf(seed: number): number[] {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  // Now and then something else than what happens undisturbed: how often differs from run to run.
  const share = next() ** 2;
  return Array.from({ length: 400 }, () => (next() < share ? Math.floor(next() * 40) : 0));
}

async function showBroken(): Promise<void> {
  for (const { name, scenario } of BREAKAGES.filter((one) => one.name.includes(values.only))) {
    const deadline = performance.now() + milliseconds;
    const { fault } = await explore(scenario, { mostDisturbances, deadline });
    write(`\n## When ${name}: ${scenario.name}\n`);
    if (fault === null) fail('No fault was found.');
    else write(readable(fault));
  }
}

function fail(what: string): void {
  write(`\n${what}\n`);
  process.exitCode = 1;
}
