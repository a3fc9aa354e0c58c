import { composeDonors, dilate, type ObjectDonor } from '#core/latents/compose.ts';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { setFirstFrame, timesAfterFirst } from '#core/latents/first-frame.ts';
import { isRegional, type Plan } from '#core/generation.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { addObjectMap } from '#core/latents/object-map.ts';
import {
  contextShare,
  liveShare,
  objectRegion,
  pasteRegion,
  placeRegion,
  type TokenRegion,
} from '#core/latents/region.ts';
import { noiseLevels, renoise, type NoiseSchedule } from '#core/latents/schedule.ts';
import { cleanPrediction, solverStep } from '#core/latents/solver.ts';
import type { AttendedTensor, Tensor } from '#core/latents/tensor.ts';
import type { FlowTime, RegionDenoiser } from './model.ts';

/** Stream of the request's seed that the start noise is drawn from. */
const START_NOISE = 'start';

/** Evaluations after which the predicted clean latent shows where the object will be. */
const EVALUATIONS_BEFORE_ANCHOR = 2;

/**
 * Full evaluations before the region of the object is looked for. On the demo package before it was trained
 * for regions (512 prompts) two of five found it better than one, at an adherence of 0.973 against 0.967, and
 * their keys and values are nearer to those of the end.
 */
const EVALUATIONS_BEFORE_REGION = 2;

/**
 * Positions by which the predicted object grows. One that was trained for regions fills its region: there
 * a margin makes no difference (0.972 with and without).
 */
const REGION_MARGIN = { trained: 0, untrained: 1 } as const;

/** Decoded donors of a plan; a whole donor gives both parts. */
export interface DonorParts {
  object: ObjectDonor | null;
  /** `[C, T, H, W]`, hole-filled. */
  background: Tensor | null;
  /** `[T, H, W]`, where the background was filled because its donor has an object there; null where it was not. */
  hole?: Tensor | null;
  /** `[T, H, W]`: variance of the noise in the composed donors, part of what they are noised with; none unless given. */
  errorVariance?: Tensor | null;
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
  /** What the steps done took, in evaluations of all tokens. */
  equivalents: number;
  /** `[T, H, W]`: where the evaluations so far attended to the object; absent where the denoiser tells nothing. */
  objectMap?: Tensor;
}

/** What a run needs next. */
export type SampleRequest =
  /** The guided velocity at x_t; `keepsContext`: keys and values of its tokens may be needed afterwards. */
  | { kind: 'velocity'; latent: Tensor; time: FlowTime; keepsContext: boolean }
  /**
   * The guided velocity of the region's tokens at x_t, 0 elsewhere. The other tokens are the context: those
   * of the last velocity that keeps it or, if none did, those of the clean background.
   */
  | { kind: 'region'; latent: Tensor; time: FlowTime; region: TokenRegion; background: Tensor }
  /** The object's mask of a predicted clean latent. */
  | { kind: 'segment'; latent: AttendedTensor };

export interface SampleStart {
  /** `[C, T, H, W]` of the package. */
  latentShape: readonly number[];
  /** Of the package; start times are noise levels unless given. */
  schedule?: NoiseSchedule;
  /** Null for a full generation. */
  donors: DonorParts | null;
  /** Of a first image, `[C, 1, H, W]`, clean: the first latent frame during the whole run. */
  firstFrame?: Tensor | undefined;
  /** Where an earlier run of the same plan and donors stopped; from the plan's start unless given. */
  from?: SamplerState | undefined;
  /** What the package's denoiser can do with some tokens; null where it can nothing. Plans for a region need it. */
  regions?: RegionFacts | null;
}

/** How the region of a run is found. */
export interface RegionFacts extends Pick<RegionDenoiser, 'patch' | 'isTrained'> {
  /** Full evaluations before the region is looked for. */
  evaluationsBefore?: number;
  /** Positions by which the predicted object grows. */
  margin?: number;
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
  /** Noise levels before each step and at the end. */
  readonly #times: readonly number[];
  readonly #start: SampleStart;
  #state: SamplerState;
  /** Of the step under way, while it waits for something else. */
  #velocity: AttendedTensor | null = null;
  #startNoise: Tensor | null = null;
  /**
   * Of plans for a region, once it is known: the region, and where the run stood before the step that found
   * it; null where it was given.
   */
  #region: { region: TokenRegion; before: SamplerState | null } | null = null;

  /** @throws InvalidInputError when the plan's times, its anchor or the donors do not go together. */
  constructor(plan: SamplePlan, start: SampleStart) {
    this.#plan = plan;
    this.#times = noiseLevels(plan.startTime, plan.steps, start.schedule);
    this.#start = start;
    requireAnchor(plan, start);
    let equivalents = 0;
    if (plan.anchor === 'place') {
      const region = placeRegion(start.donors!.hole!, start.regions!.patch);
      this.#region = { region, before: null };
      equivalents = contextShare(region.total - region.tokens.length, region.total);
    }
    this.#state = start.from ?? {
      latent: this.#startLatent(),
      stepsDone: 0,
      memory: null,
      inside: null,
      equivalents,
    };
  }

  /**
   * Where another run of the same plan and donors can go on. What an unfinished step has got so far is not
   * in it; nor are the steps of a region that was found, whose context cannot be moved: they begin again with
   * the evaluation that found it, and take the same way.
   */
  get state(): SamplerState {
    return this.#region?.before ?? this.#state;
  }

  /** Network evaluations so far, and their compute in evaluations of all tokens. */
  get stepsDone(): number {
    return this.#state.stepsDone;
  }

  get equivalents(): number {
    return this.#state.equivalents;
  }

  /** What the run needs next, the same until it is accepted; null once all steps are done. */
  next(): SampleRequest | null {
    const { latent, stepsDone } = this.#state;
    if (stepsDone === this.#plan.steps) return null;
    const level = this.#times[stepsDone]!;
    const time =
      this.#start.firstFrame === undefined ? level : timesAfterFirst(level, latent.shape[1]!);
    if (this.#region !== null) {
      const { region } = this.#region;
      return { kind: 'region', latent, time, region, background: this.#background() };
    }
    if (this.#velocity === null) {
      const keepsContext = this.#findsRegion();
      return { kind: 'velocity', latent, time, keepsContext };
    }
    const clean = this.#withFirstFrame(cleanPrediction(latent, this.#velocity, level));
    return { kind: 'segment', latent: { ...clean, ...this.#attended(this.#velocity) } };
  }

  /**
   * The answer to what `next` asked for: the velocity `[C, T, H, W]`, or the mask `[T, H, W]`.
   *
   * @throws FlexCacheError `internal` when nothing was asked for.
   */
  accept(answer: AttendedTensor): void {
    if (this.#state.stepsDone === this.#plan.steps) {
      throw new FlexCacheError('internal', 'a sampling run that is over was given an answer');
    }
    if (this.#velocity !== null) {
      const velocity = this.#velocity;
      this.#velocity = null;
      if (this.#plan.anchor === 'region') this.#stepWithRegion(velocity, answer);
      else this.#step(velocity, dilate(answer));
    } else if (this.#anchorsBackground() || this.#findsRegion()) {
      this.#velocity = answer;
    } else {
      this.#step(answer, this.#state.inside);
    }
  }

  /**
   * The clean latent `[C, T, H, W]` of a run that is over, with its object map where the denoiser tells one.
   *
   * @throws FlexCacheError `model_corrupt` when it is not finite, `internal` before the last step.
   */
  result(): AttendedTensor {
    const { latent, stepsDone, objectMap } = this.#state;
    if (stepsDone < this.#plan.steps) {
      throw new FlexCacheError(
        'internal',
        `a sampling run was asked for its result after ${stepsDone} of ${this.#plan.steps} steps`,
      );
    }
    requireFinite(latent);
    return { ...latent, ...(objectMap && { objectMap }) };
  }

  #findsRegion(): boolean {
    const { stepsDone } = this.#state;
    const { anchor } = this.#plan;
    if (anchor !== 'region' || this.#region !== null) return false;
    const { evaluationsBefore = EVALUATIONS_BEFORE_REGION } = this.#start.regions!;
    return stepsDone + 1 >= evaluationsBefore && stepsDone + 1 < this.#plan.steps;
  }

  #anchorsBackground(): boolean {
    const { inside, stepsDone } = this.#state;
    const evaluations = stepsDone + 1;
    return (
      this.#plan.anchor === 'background' &&
      inside === null &&
      evaluations >= EVALUATIONS_BEFORE_ANCHOR &&
      evaluations < this.#plan.steps
    );
  }

  /** The step after which only the region of the object moves; all of it, while there is no object. */
  #stepWithRegion(velocity: AttendedTensor, object: Tensor): void {
    const { patch, isTrained, margin } = this.#start.regions!;
    const before = this.#state;
    this.#step(velocity, null);
    if (!object.data.some((value) => value > 0)) return;
    const grown = margin ?? REGION_MARGIN[isTrained ? 'trained' : 'untrained'];
    const region = objectRegion(object, patch, grown, this.#start.donors!.hole);
    this.#region = { region, before };
  }

  #step(velocity: AttendedTensor, inside: Tensor | null): void {
    const { latent, stepsDone, memory, equivalents } = this.#state;
    const step = {
      before: this.#times[stepsDone - 1] ?? null,
      from: this.#times[stepsDone]!,
      to: this.#times[stepsDone + 1]!,
    };
    const solved = solverStep(this.#plan.solver, latent, velocity, step, memory);
    const isLast = stepsDone + 1 === this.#plan.steps;
    if (inside !== null && !isLast) this.#anchor(solved.latent, inside, step.to);
    const region = this.#region?.region;
    const moved =
      region !== undefined && isLast
        ? pasteRegion(solved.latent, this.#background(), region)
        : solved.latent;
    this.#state = {
      latent: this.#withFirstFrame(moved),
      memory: solved.memory,
      inside,
      stepsDone: stepsDone + 1,
      equivalents:
        equivalents + (region === undefined ? 1 : liveShare(region.tokens.length, region.total)),
      ...this.#attended(velocity),
    };
  }

  /** The object map of the steps done and of the one under way. */
  #attended({ objectMap: map }: AttendedTensor): Pick<SamplerState, 'objectMap'> {
    if (map === undefined) return {};
    const { stepsDone, objectMap: before = null } = this.#state;
    return { objectMap: addObjectMap(before, map, this.#times[stepsDone]!) };
  }

  /** Sets what lies outside the object to the donor's background, re-noised to the time. */
  #anchor(latent: Tensor, inside: Tensor, time: number): void {
    const outside = renoise(this.#background(), time, this.#noise());
    const positions = inside.data.length;
    for (let index = 0; index < latent.data.length; index++) {
      if (inside.data[index % positions]! <= 0) latent.data[index] = outside.data[index]!;
    }
  }

  #background(): Tensor {
    return this.#start.donors!.background!;
  }

  /** Composed donors, re-noised to the level of the start time; pure noise without donors. */
  #startLatent(): Tensor {
    const { donors, firstFrame } = this.#start;
    const noise = this.#noise();
    if (donors === null) {
      if (firstFrame === undefined) return noise;
      return this.#withFirstFrame({ data: noise.data.slice(), shape: noise.shape });
    }
    const composed = composeDonors(donors.object, donors.background);
    return this.#withFirstFrame(renoise(composed, this.#times[0]!, noise, donors.errorVariance));
  }

  /** The same latent, with the first frame that is held. */
  #withFirstFrame(latent: Tensor): Tensor {
    const { firstFrame } = this.#start;
    if (firstFrame !== undefined) setFirstFrame(latent, firstFrame);
    return latent;
  }

  /** The same noise at the start and wherever the donor is noised again. */
  #noise(): Tensor {
    const { latentShape } = this.#start;
    this.#startNoise ??= standardNormalNoise(latentShape, this.#plan.seed, START_NOISE);
    return this.#startNoise;
  }
}

function requireAnchor({ anchor, startTime }: SamplePlan, { donors, regions }: SampleStart): void {
  const refuse = (message: string, fix: string): never => {
    throw new InvalidInputError('anchor', message, fix);
  };
  if (anchor !== 'none' && !donors?.background) {
    refuse(
      'the plan holds the background of a donor, and no donor has one',
      'use the anchor "none" for plans without a background donor',
    );
  }
  if (isRegional(anchor) && !regions) {
    refuse(
      'the plan denoises a region, and the package has a denoiser of whole latents only',
      'calibrate the package, or export its denoiser for regions',
    );
  }
  if (anchor !== 'place') return;
  if (!regions!.isTrained || startTime !== 1) {
    refuse(
      'the plan denoises an object in a given place, which takes a package that was trained for it and a start from noise',
      'calibrate the package',
    );
  }
  if (!donors!.hole?.data.some((value) => value > 0)) {
    refuse(
      "the plan denoises an object in the place of the donor's own, and the donor has none",
      'use a donor that shows an object',
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
