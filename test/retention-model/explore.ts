import { sweepUp } from './sweep-up.ts';
import type { Choice, Scenario } from './scenario.ts';
import { Simulation } from './simulation.ts';
import { Violation } from './watch.ts';

export interface Bounds {
  /** Most disturbances of one schedule: preemptions, kills, times that pass. */
  mostDisturbances: number;
  /** Epoch milliseconds of the real clock after which it stops. */
  deadline?: number;
}

export interface Exploration {
  scenario: string;
  /** Different states that were reached. */
  states: number;
  /** Schedules that were run, whole or until a state that was known. */
  schedules: number;
  steps: number;
  /** Different remains at the end, each swept and looked at. */
  ends: number;
  mostSteps: number;
  /** False when the deadline came first. */
  isComplete: boolean;
  /** Whether more disturbances would have led to more states. */
  isExhausted: boolean;
  fault: Fault | null;
}

/** A schedule that breaks the protocol. */
export interface Fault {
  what: string;
  schedule: readonly string[];
  disturbances: number;
}

/**
 * Runs a scenario under all schedules of at most so many disturbances, those of the fewest first, so
 * that a fault is shown by a schedule as plain as possible (iterative context bounding: Musuvathi and
 * Qadeer, PLDI 2007). A state that was reached before is not left again: its future is known.
 */
export async function explore(
  scenario: Scenario,
  { mostDisturbances, deadline = Infinity }: Bounds,
): Promise<Exploration> {
  const result: Exploration = {
    scenario: scenario.name,
    states: 0,
    schedules: 0,
    steps: 0,
    ends: 0,
    mostSteps: 0,
    isComplete: true,
    isExhausted: true,
    fault: null,
  };
  const states = new Set<string>();
  const seen = new Set<string>();
  const ends = new Set<string>();
  /** Schedules to be run, by their disturbances. */
  const planned: (readonly Choice[])[][] = Array.from({ length: mostDisturbances + 1 }, () => []);
  planned[0]!.push([]);

  const runOne = async (begun: readonly Choice[], disturbances: number): Promise<Fault | null> => {
    const simulation = await Simulation.begin(scenario);
    const taken: Choice[] = [];
    const step = async (choice: Choice): Promise<void> => {
      taken.push(choice);
      result.steps++;
      await simulation.take(choice);
    };
    result.schedules++;
    try {
      for (const choice of begun) await step(choice);
      for (;;) {
        const { place } = simulation;
        states.add(place);
        // Who acted last decides what going on costs.
        const here = `${simulation.isLastGoing ? simulation.last : '-'} ${place}`;
        if (seen.has(here)) return null;
        seen.add(here);
        const [first, ...others] = simulation.choices();
        if (first === undefined) break;
        for (const other of others) {
          const cost = disturbances + costOf(other, simulation);
          if (cost > mostDisturbances) result.isExhausted = false;
          else planned[cost]!.push([...taken, other]);
        }
        await step(first);
      }
      result.mostSteps = Math.max(result.mostSteps, taken.length);
      if (!ends.has(simulation.remains)) {
        ends.add(simulation.remains);
        await sweepUp(simulation, scenario);
      }
      return null;
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return { what: error.message, schedule: simulation.schedule, disturbances };
    }
  };

  for (let disturbances = 0; disturbances <= mostDisturbances && !result.fault; disturbances++) {
    const queue = planned[disturbances]!;
    while (queue.length > 0 && result.fault === null) {
      if (performance.now() > deadline) {
        result.isComplete = false;
        break;
      }
      result.fault = await runOne(queue.pop()!, disturbances);
    }
    if (!result.isComplete) break;
  }
  result.states = states.size;
  result.ends = ends.size;
  return result;
}

/** The schedule of a fault, a line a step; an id is its letter. */
export function readable({ what, schedule }: Fault): string {
  return [`${what}:`, ...schedule].join('\n').replaceAll(/vid_([A-Z])0+\d+/g, '$1');
}

/** Going on, and beginning when the one before has ended, is what happens undisturbed. */
function costOf(choice: Choice, simulation: Simulation): number {
  if (choice.kind !== 'go') return 1;
  return simulation.isLastGoing && choice.actor !== simulation.last ? 1 : 0;
}
