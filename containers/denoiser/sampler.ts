import { composeDonors, type ObjectDonor } from '#core/compose.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { Plan } from '#core/generation.ts';
import { standardNormalNoise } from '#core/noise.ts';
import { eulerStep, eulerTimes, renoise } from '#core/schedule.ts';
import type { Tensor } from '#core/tensor.ts';
import type { Denoiser } from './denoise-clock.ts';

/** Stream of the request's seed that the start noise is drawn from. */
const START_NOISE = 'start';

/** Decoded donors of a plan; a whole donor gives both parts. */
export interface DonorParts {
  object: ObjectDonor | null;
  /** `[C, T, H, W]`, hole-filled. */
  background: Tensor | null;
}

export interface SampleOptions {
  /** `[C, T, H, W]` of the package. */
  latentShape: readonly number[];
  prompt: string;
  /** Classifier-free guidance; 1 is none. */
  guidance: number;
  /** Where an earlier run of the same plan stopped; from the plan's start unless given. */
  from?: SamplerState;
  /** Asked before every step; true ends the run with a `SamplingStoppedError`. */
  shouldStop?: () => boolean | Promise<boolean>;
  /** After every step, with the steps done so far. */
  onStep?: (stepsDone: number) => void | Promise<void>;
}

/** A run between two steps. */
export interface SamplerState {
  /** x_t */
  latent: Tensor;
  stepsDone: number;
}

/** A run that was told to stop; it may be taken up again from where it stands. */
export class SamplingStoppedError extends FlexCacheError {
  readonly state: SamplerState;

  constructor(state: SamplerState) {
    super('cancelled', `the request was stopped after ${state.stepsDone} steps`);
    this.name = 'SamplingStoppedError';
    this.state = state;
  }
}

/** The part of a plan that sampling needs. */
export type SamplePlan = Pick<Plan, 'startTime' | 'steps' | 'seed'>;

/**
 * The noisy latent that denoising starts from: the composed donors, re-noised to the start time with
 * the noise of the seed; pure noise without donors.
 */
export function startLatent(
  plan: SamplePlan,
  donors: DonorParts | null,
  latentShape: readonly number[],
): Tensor {
  const noise = standardNormalNoise(latentShape, plan.seed, START_NOISE);
  if (donors === null) return noise;
  return renoise(composeDonors(donors.object, donors.background), plan.startTime, noise);
}

/**
 * Denoises by Euler steps along the guided velocity, from the plan's start time to 0. A run that goes
 * on from a state ends in the same bits as one that was never stopped.
 *
 * @param donors null for a full generation
 * @returns the clean latent `[C, T, H, W]`
 * @throws SamplingStoppedError when `shouldStop` said so; no step runs after that.
 */
export async function sample(
  model: Denoiser,
  plan: SamplePlan,
  donors: DonorParts | null,
  options: SampleOptions,
): Promise<Tensor> {
  const { latentShape, prompt, guidance, from, shouldStop, onStep } = options;
  const [condition, unconditional] = await Promise.all([
    model.encodeText(prompt),
    model.encodeText(''),
  ]);
  let latent = from?.latent ?? startLatent(plan, donors, latentShape);
  const times = eulerTimes(plan.startTime, plan.steps);
  for (let step = from?.stepsDone ?? 0; step < plan.steps; step++) {
    if ((await shouldStop?.()) === true) {
      throw new SamplingStoppedError({ latent, stepsDone: step });
    }
    const time = times[step]!;
    const velocity = await model.velocity(latent, time, condition, unconditional, guidance);
    latent = eulerStep(latent, velocity, time, times[step + 1]!);
    await onStep?.(step + 1);
  }
  requireFinite(latent);
  return latent;
}

/** A latent with one NaN would decode to a black video and poison every later hit on it. */
function requireFinite({ data }: Tensor): void {
  const position = data.findIndex((value) => !Number.isFinite(value));
  if (position < 0) return;
  throw new FlexCacheError(
    'model_corrupt',
    `the denoiser gave ${data[position]} at position ${position} of the latent`,
    { fix: 'export the model package again; its denoiser overflows on this machine' },
  );
}
