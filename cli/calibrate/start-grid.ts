import type { StartPoint } from '#core/planning/calibration.ts';
import { isRegional, type Anchor, type SolverName } from '#core/generation.ts';
import type { MeasuredKind } from './donors.ts';

/** A start to measure; the cost of a plan for a region is known only after a run. */
export type GridPoint = Pick<StartPoint, 'startTime' | 'steps' | 'solver' | 'anchor'>;

export interface GridOptions {
  full: { solver: SolverName; steps: number };
  /** Whether the package can denoise only the tokens of a region. */
  supportsRegions: boolean;
  /** Whether it was trained to denoise an object in a given place. */
  supportsPlaces: boolean;
  /** Only the middle of each grid. */
  isQuick: boolean;
}

interface Block {
  startTimes: readonly number[];
  steps: readonly number[];
  anchor?: Anchor;
  /** Solvers besides that of full generations, which is always tried. */
  solvers?: readonly SolverName[];
  /** The only solver to try. */
  only?: SolverName;
}

const MULTISTEP: readonly SolverName[] = ['dpmpp-2m'];
const ALL_SOLVERS: readonly SolverName[] = ['euler', 'dpmpp-2m'];

/**
 * Starts to try for each kind of hit: around those without loss in small measurements, and cheaper
 * and more expensive ones. Few for regions: each is evaluated alone, ten times as slowly as in a
 * batch.
 */
const GRIDS: Readonly<Record<MeasuredKind, readonly Block[]>> = {
  whole: [
    { startTimes: [0.2, 0.3, 0.4, 0.5], steps: [1] },
    { startTimes: [0.3, 0.4, 0.5], steps: [2, 3], solvers: MULTISTEP },
  ],
  near: [{ startTimes: [0.8, 0.85, 0.9], steps: [2, 3, 4, 5], solvers: MULTISTEP }],
  'object+background': [
    { startTimes: [0.5, 0.6, 0.7, 0.8], steps: [2, 3, 4, 5], solvers: MULTISTEP },
  ],
  object: [{ startTimes: [0.8, 0.9, 0.95], steps: [3, 4, 5], solvers: MULTISTEP }],
  background: [
    { startTimes: [0.9, 0.95], steps: [3, 4, 5], anchor: 'background', solvers: ALL_SOLVERS },
    { startTimes: [0.9, 0.95], steps: [4, 5], solvers: MULTISTEP },
    { startTimes: [0.95], steps: [5, 7], anchor: 'region', only: 'dpmpp-2m' },
  ],
  placed: [{ startTimes: [1], steps: [4, 5, 6], anchor: 'place', solvers: MULTISTEP }],
};

const QUICK_GRIDS: typeof GRIDS = {
  whole: [{ startTimes: [0.3], steps: [1, 2] }],
  near: [{ startTimes: [0.8], steps: [4] }],
  'object+background': [{ startTimes: [0.7], steps: [3] }],
  object: [{ startTimes: [0.9], steps: [4] }],
  background: [
    { startTimes: [0.95], steps: [4], anchor: 'background' },
    { startTimes: [0.95], steps: [4], anchor: 'region' },
  ],
  placed: [{ startTimes: [1], steps: [4], anchor: 'place' }],
};

/** Returns the starts to measure for a kind of hit, the cheapest first. */
export function startGrid(kind: MeasuredKind, options: GridOptions): GridPoint[] {
  const { full, supportsRegions, supportsPlaces, isQuick } = options;
  const points: GridPoint[] = [];
  for (const block of (isQuick ? QUICK_GRIDS : GRIDS)[kind]) {
    const { startTimes, steps: budgets, anchor = 'none', solvers = [], only } = block;
    if (isRegional(anchor) && !supportsRegions) continue;
    if (anchor === 'place' && !supportsPlaces) continue;
    for (const startTime of startTimes) {
      for (const steps of budgets) {
        // A plan for a region may take as many steps as a full generation and still cost less.
        if (isRegional(anchor) ? steps > full.steps : steps >= full.steps) continue;
        // A single step is the same for every solver.
        const usual = steps === 1 ? [full.solver] : [full.solver, ...solvers];
        const tried = new Set(only === undefined ? usual : [only]);
        for (const solver of tried) points.push({ startTime, steps, solver, anchor });
      }
    }
  }
  return points.sort((one, other) => one.steps - other.steps);
}

/** Returns the name of a start for keys and tables. */
export function nameOfStart({ startTime, steps, solver, anchor }: GridPoint): string {
  return [startTime, steps, solver, ...(anchor === 'none' ? [] : [anchor])].join('/');
}
