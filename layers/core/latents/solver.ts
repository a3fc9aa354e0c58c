import type { SolverName } from '../generation.ts';
import { eulerStep } from './schedule.ts';
import type { Tensor } from './tensor.ts';

/**
 * A step of a solver: from a time to a smaller one, and the previous step's time; null for the
 * first step.
 */
export interface SolverStep {
  before: number | null;
  from: number;
  to: number;
}

export interface SolverResult {
  /** The latent at `to`. */
  latent: Tensor;
  /**
   * State for the next step: the velocity (`ab2`) or the predicted clean latent (`dpmpp-2m`); null
   * for solvers without memory.
   */
  memory: Tensor | null;
}

/**
 * Takes one step of the rectified flow's ODE dx/dt = v, with one network evaluation.
 *
 * - `euler`: x + (to - from) v.
 * - `ab2`: two-step Adams-Bashforth for uneven steps, the velocity extrapolated to
 *   v + h / (2 h') (v - v'), where h and h' are the sizes of this step and the previous one.
 * - `dpmpp-2m`: DPM-Solver++ 2M (Lu et al. 2022, arXiv 2211.01095), on the predicted clean latent
 *   x0 = x - t v and in lambda = log((1 - t) / t). For the rectified flow its update is
 *   (to / from) x + (1 - to / from) (x0 + h / (2 h') (x0 - x0')), with h and h' in lambda. At t = 1 and
 *   t = 0, where lambda is infinite, it takes the limit: a first-order step, which is Euler's.
 *
 * The first step of every solver is Euler's.
 *
 * @param latent x at `step.from`
 * @param velocity v at `step.from`
 * @param memory the previous step's; null for the first step and for solvers without memory
 * @throws InvalidInputError if shapes differ or a time is not in 0..1
 */
export function solverStep(
  solver: SolverName,
  latent: Tensor,
  velocity: Tensor,
  step: SolverStep,
  memory: Tensor | null,
): SolverResult {
  const first = eulerStep(latent, velocity, step.from, step.to);
  if (solver === 'euler') return { latent: first, memory: null };
  const present = solver === 'ab2' ? velocity : cleanPrediction(latent, velocity, step.from);
  const weight = memory === null ? 0 : secondOrderWeight(solver, step);
  if (weight === 0) return { latent: first, memory: present };
  const { data } = first;
  for (let index = 0; index < data.length; index++) {
    data[index]! += weight * (present.data[index]! - memory!.data[index]!);
  }
  return { latent: first, memory: present };
}

/**
 * Computes the clean latent that a velocity points to: `latent - time * velocity`.
 *
 * @throws InvalidInputError if shapes differ or the time is not in 0..1
 */
export function cleanPrediction(latent: Tensor, velocity: Tensor, time: number): Tensor {
  return eulerStep(latent, velocity, time, 0);
}

/** Whether a solver's steps need state of the previous step. */
export function hasMemory(solver: SolverName): boolean {
  return solver !== 'euler';
}

/**
 * Computes the factor of the difference between this step's and the last step's memory, added to an
 * Euler step.
 */
function secondOrderWeight(
  solver: Exclude<SolverName, 'euler'>,
  { before, from, to }: SolverStep,
): number {
  if (before === null) return 0;
  if (solver === 'ab2') return -((from - to) ** 2) / (2 * (before - from));
  if (to === 0 || before === 1) return 0;
  const ratio = (lambda(to) - lambda(from)) / (lambda(from) - lambda(before));
  return (1 - to / from) * (ratio / 2);
}

/** Computes half the log signal-to-noise ratio of the rectified flow. */
function lambda(time: number): number {
  return Math.log((1 - time) / time);
}
