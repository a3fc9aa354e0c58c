import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SOLVERS, type SolverName } from '#core/generation.ts';
import { eulerStep, noiseLevels } from '#core/latents/schedule.ts';
import { cleanPrediction, solverStep } from '#core/latents/solver.ts';
import type { Tensor } from '#core/latents/tensor.ts';

const tensor = (...values: number[]): Tensor => ({
  data: Float32Array.from(values),
  shape: [values.length],
});

/** One number taken along a flow from the first time to the last. */
function solve(
  solver: SolverName,
  start: number,
  times: readonly number[],
  velocityAt: (x: number, time: number) => number,
): number {
  let latent = tensor(start);
  let memory: Tensor | null = null;
  for (let index = 0; index + 1 < times.length; index++) {
    const [before, from, to] = [times[index - 1] ?? null, times[index]!, times[index + 1]!];
    const velocity = tensor(velocityAt(latent.data[0]!, from));
    ({ latent, memory } = solverStep(solver, latent, velocity, { before, from, to }, memory));
  }
  return latent.data[0]!;
}

/**
 * The flow of data that is normally distributed: x_t = (1 - t) mean + sigma_t z with
 * sigma_t^2 = ((1 - t) deviation)^2 + t^2, of which z stays the same on the way.
 */
const MEAN = 0.7;
const DEVIATION = 0.5;
const sigma = (time: number) => Math.hypot((1 - time) * DEVIATION, time);
function gaussianVelocity(x: number, time: number): number {
  const z = (x - (1 - time) * MEAN) / sigma(time);
  const dSigma = (time - (1 - time) * DEVIATION ** 2) / sigma(time);
  return -MEAN + dSigma * z;
}

function errorOf(solver: SolverName, times: readonly number[]): number {
  const z = 1.3;
  const exact = (time: number) => (1 - time) * MEAN + sigma(time) * z;
  return Math.abs(solve(solver, exact(times[0]!), times, gaussianVelocity) - exact(times.at(-1)!));
}

describe('solverStep', () => {
  it.each([
    ['euler', 2],
    ['ab2', 4],
    ['dpmpp-2m', 4],
  ] as const)('of %s divides the error by %d for twice the steps', (solver, order) => {
    // Towards 0 the steps of dpmpp-2m grow without end in lambda: its order shows before.
    const times = (steps: number) => noiseLevels(0.4, steps).map((time) => time + 0.5);

    const ratio = errorOf(solver, times(8)) / errorOf(solver, times(16));

    expect(ratio).toBeGreaterThan(0.85 * order);
    expect(ratio).toBeLessThan(1.15 * order);
  });

  it.each(['ab2', 'dpmpp-2m'] as const)('of %s comes nearer than Euler in few steps', (solver) => {
    for (const steps of [4, 6, 10]) {
      const times = noiseLevels(1, steps);
      expect(errorOf(solver, times)).toBeLessThan(errorOf('euler', times));
    }
  });

  it('of ab2 follows a velocity that is linear in time exactly, in uneven steps', () => {
    // Prepare: dx/dt = 2 + 6 t, from an exact second point on.
    const exact = (time: number) => 2 * time + 3 * time ** 2;
    const [before, from, to] = [0.9, 0.6, 0.1];

    // Act
    const { latent } = solverStep(
      'ab2',
      tensor(exact(from)),
      tensor(2 + 6 * from),
      { before, from, to },
      tensor(2 + 6 * before),
    );

    // Assess
    expect(latent.data[0]).toBeCloseTo(exact(to), 6);
  });

  it('of dpmpp-2m is the update of the paper in alpha, sigma and lambda', () => {
    // Prepare
    const [before, from, to] = [0.9, 0.6, 0.2];
    const [x, velocity, previousClean] = [0.8, -1.1, 0.3];
    const lambda = (time: number) => Math.log((1 - time) / time);
    const h = lambda(to) - lambda(from);
    const r = (lambda(from) - lambda(before)) / h;
    const clean = x - from * velocity;
    const d = (1 + 1 / (2 * r)) * clean - previousClean / (2 * r);
    const expected = (to / from) * x - (1 - to) * (Math.exp(-h) - 1) * d;

    // Act
    const { latent, memory } = solverStep(
      'dpmpp-2m',
      tensor(x),
      tensor(velocity),
      { before, from, to },
      tensor(previousClean),
    );

    // Assess
    expect(latent.data[0]).toBeCloseTo(expected, 6);
    expect(memory!.data[0]).toBeCloseTo(clean, 6);
  });

  it('starts with the very step of Euler, and stays finite at both ends', () => {
    const time = fc.double({ min: 0.01, max: 1, noNaN: true });
    const number = fc.double({ min: -5, max: 5, noNaN: true });
    fc.assert(
      fc.property(
        time,
        fc.integer({ min: 1, max: 12 }),
        number,
        number,
        (startTime, steps, x, v) => {
          const times = noiseLevels(startTime, steps);
          for (const solver of SOLVERS) {
            const step = { before: null, from: times[0]!, to: times[1]! };
            const { latent } = solverStep(solver, tensor(x), tensor(v), step, null);
            expect(latent.data).toEqual(eulerStep(tensor(x), tensor(v), times[0]!, times[1]!).data);
            expect(Number.isFinite(solve(solver, x, times, gaussianVelocity))).toBe(true);
          }
        },
      ),
    );
  });

  it.each(SOLVERS)('of %s follows a straight flow exactly', (solver) => {
    const end = solve(solver, 2, noiseLevels(1, 7), () => 3);

    expect(end).toBeCloseTo(-1, 5);
  });

  it('leaves its inputs alone', () => {
    const given = [tensor(1), tensor(3), tensor(2)] as const;

    solverStep('ab2', given[0], given[1], { before: 0.8, from: 0.6, to: 0.4 }, given[2]);

    expect(given.map(({ data }) => data[0])).toEqual([1, 3, 2]);
  });
});

describe('cleanPrediction', () => {
  it('is the clean latent that noise was added to along the flow', () => {
    const [clean, noise, time] = [0.4, -1.5, 0.3];

    const found = cleanPrediction(
      tensor((1 - time) * clean + time * noise),
      tensor(noise - clean),
      time,
    );

    expect(found.data[0]).toBeCloseTo(clean, 6);
  });
});
