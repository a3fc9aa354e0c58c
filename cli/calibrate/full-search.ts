import { SOLVERS } from '#core/generation.ts';
import { fullJobs } from './full-jobs.ts';
import { LossMeter, meets } from './losses.ts';
import type { Objective } from './objective.ts';
import type { PromptCase } from './prompt-sets.ts';
import { race, type RacedCell } from './race.ts';
import type { GridPoint } from './start-grid.ts';
import type { VideoMaker, VideoOutcome } from './video-maker.ts';

export interface FullSearchOptions {
  objective: Objective;
  referenceSteps: number;
  isQuick: boolean;
  seed: number;
}

export interface FullSearchResult {
  cells: RacedCell[];
  /** The fewest evaluations that meet the objective with 95 % confidence; null if none do. */
  found: RacedCell | null;
}

const BUDGETS = [3, 4, 5, 6, 7, 8, 10, 12] as const;
const QUICK_BUDGETS = [4, 6] as const;

/**
 * Finds the solver and steps of full generations: the fewest evaluations that stay within the
 * objective relative to a reference of many Euler steps from the same noise.
 */
export async function searchFull(
  maker: VideoMaker,
  cases: readonly PromptCase[],
  { objective, referenceSteps, isQuick, seed }: FullSearchOptions,
): Promise<FullSearchResult> {
  const reference = { solver: 'euler', steps: referenceSteps } as const;
  const [others, same] = await Promise.all(
    (['reference', 'tuning full'] as const).map((stream) =>
      maker.measure(fullJobs(stream, reference, cases, seed)),
    ),
  );
  const meter = new LossMeter(others!, seed);
  const starts = (isQuick ? QUICK_BUDGETS : BUDGETS)
    .filter((steps) => steps < referenceSteps)
    .flatMap((steps) =>
      SOLVERS.map((solver): GridPoint => ({ startTime: 1, steps, solver, anchor: 'none' })),
    );
  const cells = await race(
    { kind: 'full', similarity: 1, full: same!, starts },
    {
      objective,
      meter,
      run: async (running, count) => {
        const jobs = running.map((start) =>
          fullJobs('tuning full', start, cases.slice(0, count), seed),
        );
        const outcomes = await maker.measure(jobs.flat());
        return running.map((_, index): VideoOutcome[] =>
          outcomes.slice(index * count, (index + 1) * count),
        );
      },
    },
  );
  const good = cells.filter(
    ({ measured, reason }) => reason === null && meets(measured, objective),
  );
  return { cells, found: good[0] ?? null };
}
