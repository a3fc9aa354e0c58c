import { FlexCacheError } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import type { VideoModel } from './model.ts';
import { SampleRun, type DonorParts, type SamplePlan, type SamplerState } from './sample-run.ts';

/** The part of a model that denoising needs. */
export type Denoiser = Pick<VideoModel, 'encodeText' | 'velocity' | 'segment'>;

export interface SampleOptions {
  /** `[C, T, H, W]` of the package. */
  latentShape: readonly number[];
  prompt: string;
  /** Classifier-free guidance; 1 is none. */
  guidance: number;
  /** Where an earlier run of the same plan and donors stopped; from the plan's start unless given. */
  from?: SamplerState;
  /** Asked before every step; true ends the run with a `SamplingStoppedError`. */
  shouldStop?: () => boolean | Promise<boolean>;
  /** After every step, with the steps done so far. */
  onStep?: (stepsDone: number) => void | Promise<void>;
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

/**
 * Denoises along the guided velocity, from the plan's start time to 0, with the plan's solver. A run
 * that goes on from a state ends in the same bits as one that was never stopped.
 *
 * @param donors null for a full generation
 * @returns the clean latent `[C, T, H, W]`
 * @throws SamplingStoppedError when `shouldStop` said so; no step runs after that.
 * @throws InvalidInputError when plan and donors do not go together.
 */
export async function sample(
  model: Denoiser,
  plan: SamplePlan,
  donors: DonorParts | null,
  options: SampleOptions,
): Promise<Tensor> {
  const { latentShape, prompt, guidance, from, shouldStop, onStep } = options;
  const run = new SampleRun(plan, { latentShape, donors, from });
  const [condition, unconditional] = await Promise.all([
    model.encodeText(prompt),
    model.encodeText(''),
  ]);
  for (let request = run.next(); request !== null; request = run.next()) {
    const { stepsDone } = run.state;
    if (request.kind === 'segment') {
      run.accept(await model.segment(request.latent));
    } else {
      if ((await shouldStop?.()) === true) throw new SamplingStoppedError(run.state);
      const { latent, time } = request;
      run.accept(await model.velocity(latent, time, condition, unconditional, guidance));
    }
    if (run.state.stepsDone > stepsDone) await onStep?.(run.state.stepsDone);
  }
  return run.result();
}
