import { composeDonors, dilate, type ObjectDonor } from '../core/compose.ts';
import { FlexCacheError, InvalidInputError } from '../core/errors.ts';
import type { Plan } from '../core/generation.ts';
import { standardNormalNoise } from '../core/noise.ts';
import { eulerTimes, renoise } from '../core/schedule.ts';
import { cleanPrediction, solverStep } from '../core/solver.ts';
import type { Tensor } from '../core/tensor.ts';

/** Stream of the request's seed that the start noise is drawn from. */
const START_NOISE = 'start';

/** Evaluations after which the predicted clean latent shows where the object will be. */
const EVALUATIONS_BEFORE_ANCHOR = 2;

/** Decoded donors of a plan; a whole donor gives both parts. */
export interface DonorParts {
  object: ObjectDonor | null;
  /** `[C, T, H, W]`, hole-filled. */
  background: Tensor | null;
}

/** The part of a plan that sampling needs. */
export type SamplePlan = Pick<Plan, 'startTime' | 'steps' | 'seed' | 'solver' | 'anchor'>;

/** A run between two steps: all that the steps that are left depend on, beside plan and donors. */
export interface SamplerState {
  /** x_t, `[C, T, H, W]` */
  latent: Tensor;
  stepsDone: number;
  /** What the solver keeps of the step before, of the latent's shape; null before the first step and for Euler. */
  memory: Tensor | null;
  /** `[T, H, W]`, 1 in the dilated object; null until it is found and for plans that are not anchored. */
  inside: Tensor | null;
}

/** What a run needs next. */
export type SampleRequest =
  /** The guided velocity at x_t. */
  | { kind: 'velocity'; latent: Tensor; time: number }
  /** The object's mask of a predicted clean latent. */
  | { kind: 'segment'; latent: Tensor };

export interface SampleStart {
  /** `[C, T, H, W]` of the package. */
  latentShape: readonly number[];
  /** Null for a full generation. */
  donors: DonorParts | null;
  /** Where an earlier run of the same plan and donors stopped; from the plan's start unless given. */
  from?: SamplerState | undefined;
}

/**
 * One denoising run from the plan's start time to 0, without the networks: it says what it needs, and
 * whoever drives it answers. One driver serves one run (`sample`), another many at once (`sampleBatch`).
 *
 * @example
 * const run = new SampleRun(plan, { latentShape, donors });
 * for (let request = run.next(); request !== null; request = run.next()) {
 *   run.accept(await answer(request));
 * }
 * const clean = run.result();
 */
export class SampleRun {
  readonly #plan: SamplePlan;
  readonly #times: readonly number[];
  readonly #start: SampleStart;
  #state: SamplerState;
  /** Of the step under way, while it waits for something else. */
  #velocity: Tensor | null = null;
  #startNoise: Tensor | null = null;

  /** @throws InvalidInputError when the plan's times, its anchor or the donors do not go together. */
  constructor(plan: SamplePlan, start: SampleStart) {
    this.#plan = plan;
    this.#times = eulerTimes(plan.startTime, plan.steps);
    this.#start = start;
    requireAnchor(plan, start.donors);
    this.#state = start.from ?? {
      latent: this.#startLatent(),
      stepsDone: 0,
      memory: null,
      inside: null,
    };
  }

  /** Where the run stands. What an unfinished step has got so far is not in it. */
  get state(): SamplerState {
    return this.#state;
  }

  /** What the run needs next, the same until it is accepted; null once all steps are done. */
  next(): SampleRequest | null {
    const { latent, stepsDone } = this.#state;
    if (stepsDone === this.#plan.steps) return null;
    const time = this.#times[stepsDone]!;
    if (this.#velocity === null) return { kind: 'velocity', latent, time };
    return { kind: 'segment', latent: cleanPrediction(latent, this.#velocity, time) };
  }

  /**
   * The answer to what `next` asked for: the velocity `[C, T, H, W]`, or the mask `[T, H, W]`.
   *
   * @throws FlexCacheError `internal` when nothing was asked for.
   */
  accept(answer: Tensor): void {
    if (this.#state.stepsDone === this.#plan.steps) {
      throw new FlexCacheError('internal', 'a sampling run that is over was given an answer');
    }
    if (this.#velocity !== null) {
      this.#step(this.#velocity, dilate(answer));
      this.#velocity = null;
    } else if (this.#needsMask()) {
      this.#velocity = answer;
    } else {
      this.#step(answer, this.#state.inside);
    }
  }

  /**
   * The clean latent `[C, T, H, W]` of a run that is over.
   *
   * @throws FlexCacheError `model_corrupt` when it is not finite, `internal` before the last step.
   */
  result(): Tensor {
    const { latent, stepsDone } = this.#state;
    if (stepsDone < this.#plan.steps) {
      throw new FlexCacheError(
        'internal',
        `a sampling run was asked for its result after ${stepsDone} of ${this.#plan.steps} steps`,
      );
    }
    requireFinite(latent);
    return latent;
  }

  #needsMask(): boolean {
    const { inside, stepsDone } = this.#state;
    const evaluations = stepsDone + 1;
    return (
      this.#plan.anchor === 'background' &&
      inside === null &&
      evaluations >= EVALUATIONS_BEFORE_ANCHOR &&
      evaluations < this.#plan.steps
    );
  }

  #step(velocity: Tensor, inside: Tensor | null): void {
    const { latent, stepsDone, memory } = this.#state;
    const step = {
      before: this.#times[stepsDone - 1] ?? null,
      from: this.#times[stepsDone]!,
      to: this.#times[stepsDone + 1]!,
    };
    const solved = solverStep(this.#plan.solver, latent, velocity, step, memory);
    const isLast = stepsDone + 1 === this.#plan.steps;
    if (inside !== null && !isLast) this.#anchor(solved.latent, inside, step.to);
    this.#state = { ...solved, inside, stepsDone: stepsDone + 1 };
  }

  /** Sets what lies outside the object to the donor's background, re-noised to the time. */
  #anchor(latent: Tensor, inside: Tensor, time: number): void {
    const outside = renoise(this.#start.donors!.background!, time, this.#noise());
    const positions = inside.data.length;
    for (let index = 0; index < latent.data.length; index++) {
      if (inside.data[index % positions]! <= 0) latent.data[index] = outside.data[index]!;
    }
  }

  /** Composed donors, re-noised to the start time; pure noise without donors. */
  #startLatent(): Tensor {
    const { donors } = this.#start;
    if (donors === null) return this.#noise();
    const composed = composeDonors(donors.object, donors.background);
    return renoise(composed, this.#plan.startTime, this.#noise());
  }

  /** The same noise at the start and wherever the donor is noised again. */
  #noise(): Tensor {
    const { latentShape } = this.#start;
    this.#startNoise ??= standardNormalNoise(latentShape, this.#plan.seed, START_NOISE);
    return this.#startNoise;
  }
}

function requireAnchor({ anchor }: SamplePlan, donors: DonorParts | null): void {
  if (anchor === 'region') {
    throw new InvalidInputError(
      'anchor',
      'this sampler denoises all tokens and cannot run a plan for a region',
      'use a plan with the anchor "none" or "background"',
    );
  }
  if (anchor === 'background' && !donors?.background) {
    throw new InvalidInputError(
      'anchor',
      'the plan holds the background of a donor, and no donor has one',
      'use the anchor "none" for plans without a background donor',
    );
  }
}

/** A latent with one NaN would decode to a black video and poison every later hit on it. */
function requireFinite({ data }: Tensor): void {
  let position = 0;
  while (position < data.length && Number.isFinite(data[position])) position++;
  if (position === data.length) return;
  throw new FlexCacheError(
    'model_corrupt',
    `the denoiser gave ${data[position]} at position ${position} of the latent`,
    { fix: 'export the model package again; its denoiser overflows on this machine' },
  );
}
