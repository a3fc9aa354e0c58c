import type { Choice, Scenario } from './scenario.ts';
import { Simulation } from './simulation.ts';
import { sweepUp } from './sweep-up.ts';

/**
 * Runs a scenario under the schedule that numbers say: each picks one of what may happen next, 0 what
 * happens undisturbed, as does whatever follows the last.
 *
 * @throws Violation; its schedule is told to `onEnd`
 */
export async function runSchedule(
  scenario: Scenario,
  picks: readonly number[],
  onEnd: (simulation: Simulation) => void = () => {},
): Promise<void> {
  const simulation = await Simulation.begin(scenario);
  try {
    for (let step = 0; ; step++) {
      const choices = withOrders(simulation);
      if (choices.length === 0) break;
      await simulation.take(choices[(picks[step] ?? 0) % choices.length]!);
    }
    await sweepUp(simulation, scenario);
  } finally {
    onEnd(simulation);
  }
}

/** What one actor asks at once may be answered in any order. */
function withOrders(simulation: Simulation): Choice[] {
  return simulation.choices().flatMap((choice): Choice[] =>
    choice.kind !== 'go'
      ? [choice]
      : Array.from({ length: simulation.requestsOf(choice.actor) }, (_, request) => ({
          ...choice,
          request,
        })),
  );
}
