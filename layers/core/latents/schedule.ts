import { InvalidInputError } from '../errors.ts';
import type { Tensor } from './tensor.ts';

/**
 * Noise schedule of a package: start times and steps are evenly spaced, noise levels need not be. A
 * shift `s` maps the time `u` to `s u / (1 + (s - 1) u)`, i.e. more steps at high noise (Esser et
 * al. 2024, arXiv 2403.03206, 5.3.2); `sigmas` are the levels at evenly spaced times from 1 to 0,
 * interpolated linearly. Without either, the level is the time.
 */
export interface NoiseSchedule {
  shift?: number | undefined;
  sigmas?: readonly number[] | undefined;
}

/**
 * Computes the noise level t of `x_t = (1 - t) clean + t noise` at a start time, 0..1.
 *
 * @throws InvalidInputError unless the time is in 0..1
 */
export function noiseLevel({ shift = 1, sigmas }: NoiseSchedule, time: number): number {
  requireTime('time', time);
  if (sigmas === undefined) return shift === 1 ? time : (shift * time) / (1 + (shift - 1) * time);
  const place = (1 - time) * (sigmas.length - 1);
  const index = Math.min(Math.floor(place), sigmas.length - 2);
  const [before, after] = [sigmas[index]!, sigmas[index + 1]!];
  return before + (place - index) * (after - before);
}

/**
 * Computes the noise levels of a run: `steps + 1` numbers from that of the start time to 0, at
 * evenly spaced times.
 *
 * @throws InvalidInputError unless 0 < startTime <= 1 and steps is a positive integer
 */
export function noiseLevels(
  startTime: number,
  steps: number,
  schedule: NoiseSchedule = {},
): number[] {
  requireTime('startTime', startTime);
  if (startTime === 0) {
    throw new InvalidInputError(
      'startTime',
      'start time 0 leaves nothing to denoise',
      'use a start time above 0, or return the latent as it is',
    );
  }
  if (!Number.isInteger(steps) || steps < 1) {
    throw new InvalidInputError(
      'steps',
      `steps ${steps} is not a positive integer`,
      'run at least one step',
    );
  }
  return Array.from({ length: steps + 1 }, (_, index) =>
    noiseLevel(schedule, startTime * (1 - index / steps)),
  );
}

/**
 * Re-noises a clean latent to time t: `(1 - t) * clean + t * noise`. Noise in the clean latent,
 * such as dithered quantization error, counts: less is added, so that the total noise variance is
 * t^2.
 *
 * @param errorVariance `[T, H, W]`: variance of the noise in the clean latent `[C, T, H, W]`;
 * default none
 * @throws InvalidInputError if shapes differ or the time is not in 0..1
 */
export function renoise(
  clean: Tensor,
  time: number,
  noise: Tensor,
  errorVariance: Tensor | null = null,
): Tensor {
  requireTime('time', time);
  requireSameShape('noise', clean, noise);
  const data = new Float32Array(clean.data.length);
  const level = addedNoise(time, errorVariance);
  const positions = level.length;
  for (let start = 0; start < data.length; start += positions) {
    for (let index = 0; index < positions; index++) {
      data[start + index] =
        (1 - time) * clean.data[start + index]! + level[index]! * noise.data[start + index]!;
    }
  }
  return { data, shape: clean.shape };
}

/** Computes the factor of the noise at each position. */
function addedNoise(time: number, errorVariance: Tensor | null): Float64Array {
  if (errorVariance === null) return Float64Array.of(time);
  return Float64Array.from(errorVariance.data, (variance) =>
    variance === 0 ? time : Math.sqrt(Math.max(0, time * time - (1 - time) ** 2 * variance)),
  );
}

/**
 * Takes one Euler step along the velocity `noise - clean`: `latent + (to - from) * velocity`.
 *
 * @throws InvalidInputError if shapes differ or a time is not in 0..1
 */
export function eulerStep(latent: Tensor, velocity: Tensor, from: number, to: number): Tensor {
  requireTime('from', from);
  requireTime('to', to);
  requireSameShape('velocity', latent, velocity);
  const size = to - from;
  const data = new Float32Array(latent.data.length);
  for (let index = 0; index < data.length; index++) {
    data[index] = latent.data[index]! + size * velocity.data[index]!;
  }
  return { data, shape: latent.shape };
}

function requireTime(field: string, time: number): void {
  if (time >= 0 && time <= 1) return;
  throw new InvalidInputError(field, `${field} ${time} is not in 0..1`, 'give a time in 0..1');
}

function requireSameShape(field: string, expected: Tensor, actual: Tensor): void {
  if (expected.shape.join() === actual.shape.join()) return;
  throw new InvalidInputError(
    field,
    `${field} has shape [${actual.shape.join(', ')}], expected [${expected.shape.join(', ')}]`,
    `give a ${field} of the latent's shape`,
  );
}
