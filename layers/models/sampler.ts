import { FlexCacheError } from '#core/errors.ts';
import type { NoiseSchedule } from '#core/latents/schedule.ts';
import type { AttendedTensor, Tensor } from '#core/latents/tensor.ts';
import { RunAnswers, type Denoiser } from './run-answers.ts';
import { SampleRun, type DonorParts, type SamplePlan, type SamplerState } from './sample-run.ts';

export interface SampleOptions {
  /** `[C, T, H, W]` of the package. */
  latentShape: readonly number[];
  /** Of the package; start times are noise levels unless given. */
  schedule?: NoiseSchedule;
  prompt: string;
  /** Classifier-free guidance; 1 is none. */
  guidance: number;
  /** What guidance leads away from; what the package leads away from unless given. */
  negativePrompt?: string;
  /** Clean latent of a first image, `[C, 1, H, W]`: the first latent frame during the whole run. */
  firstFrame?: Tensor;
  /** Where an earlier run of the same plan and donors stopped; from the plan's start unless given. */
  from?: SamplerState;
  /** Asked before every step; true ends the run with a `SamplingStoppedError`. */
  shouldStop?: () => boolean | Promise<boolean>;
  /** After every step, with the steps done so far and what they took, in evaluations of all tokens. */
  onStep?: (stepsDone: number, equivalents: number) => void | Promise<void>;
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
 * @returns the clean latent `[C, T, H, W]`, with its object map where the denoiser tells one
 * @throws SamplingStoppedError when `shouldStop` said so; no step runs after that.
 * @throws InvalidInputError when plan and donors do not go together.
 */
export async function sample(
  model: Denoiser,
  plan: SamplePlan,
  donors: DonorParts | null,
  options: SampleOptions,
): Promise<AttendedTensor> {
  const { latentShape, schedule = {}, prompt, guidance, from, shouldStop, onStep } = options;
  const { negativePrompt = null, firstFrame } = options;
  const { regions } = model;
  const run = new SampleRun(plan, {
    latentShape,
    schedule,
    donors,
    firstFrame,
    from,
    regions,
  });
  const [condition, unconditional, negative] = await Promise.all([
    model.encodeText(prompt),
    model.encodeText(null),
    model.encodeText(negativePrompt),
  ]);
  const answers = new RunAnswers(model, { condition, unconditional, negative, guidance });
  try {
    for (let request = run.next(); request !== null; request = run.next()) {
      const { stepsDone } = run;
      if (request.kind !== 'segment' && (await shouldStop?.()) === true) {
        throw new SamplingStoppedError(run.state);
      }
      run.accept(await answers.answer(request));
      if (run.stepsDone > stepsDone) await onStep?.(run.stepsDone, run.equivalents);
    }
    return run.result();
  } finally {
    await answers.release();
  }
}
