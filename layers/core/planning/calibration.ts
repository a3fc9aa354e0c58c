import type { Anchor, HitKind, LookupPart, SolverName } from '../generation.ts';
import { InvalidInputError } from '../errors.ts';
import { withoutNoise } from './limit-reuse.ts';

/** Where a hit starts and how many network evaluations it runs. */
export interface StartPoint {
  /** 0..1; 1 would be a full generation. */
  startTime: number;
  /** Network evaluations, fewer than a full generation's. */
  steps: number;
  solver: SolverName;
  anchor: Anchor;
  /** Expected compute, in evaluations of all tokens. */
  equivalents: number;
  /** Expected loss against a full generation, 0.01 is 1 %; absent where it was not measured. */
  loss?: number;
}

/** A start after which all is denoised, one evaluation of all tokens a step. */
export function startPoint(
  startTime: number,
  steps: number,
  solver: SolverName = 'euler',
): StartPoint {
  return { startTime, steps, solver, anchor: 'none', equivalents: steps };
}

/**
 * A start with steps at most as long as those of a full generation: the start time's share of them, rounded up.
 *
 * @param fullSteps network evaluations of a full generation; Infinity asks about the start alone, whose steps are
 * 0 then
 * @returns null when that is as many as a full generation runs
 */
export function proportionalStart(
  startTime: number,
  fullSteps: number,
  solver: SolverName,
): StartPoint | null {
  const steps = fullSteps === Infinity ? 0 : Math.ceil(withoutNoise(startTime * fullSteps));
  return steps < fullSteps ? startPoint(startTime, steps, solver) : null;
}

/**
 * What is measured apart: the kinds of hits and, of backgrounds, those whose own object is `placed` where the
 * one that is asked for is to be.
 */
export type CalibratedKind = HitKind | 'placed';

/** Decides how deep a hit may reuse its donors. */
export interface Calibration {
  /** Of full generations. */
  readonly fullSolver: SolverName;
  /** Reuses away from a full generation from which on an entry is no donor; Infinity where there is no limit. */
  readonly maxGeneration: number;
  /**
   * Whether what a video shows of a part is similar enough for the part to be lent, alone or as one of two.
   *
   * @param isSure whether the package's judge was sure to see all that is asked of the part; of such donors
   * less similarity is asked. False where nobody knows.
   */
  admits(part: LookupPart, similarity: number, isSure?: boolean): boolean;
  /**
   * @param similarity cosine of the request and its donor, -1..1; for two donors the smaller one
   * @param fullSteps network evaluations of a full generation of the same request; Infinity asks
   * about the similarity alone
   * @returns null when the hit must not be used: too dissimilar, or nothing would be saved
   */
  decide(kind: CalibratedKind, similarity: number, fullSteps: number): StartPoint | null;
}

/** Lowest similarity at which a donor is used. */
export type SimilarityThresholds = { readonly [Part in LookupPart]: number };

/** From which similarity on donors are used: any, and those in which a judge was sure to see what is asked. */
export interface DonorThresholds {
  readonly thresholds: SimilarityThresholds;
  readonly sureThresholds: SimilarityThresholds;
}

/** Whether thresholds admit a donor of a part, as `Calibration.admits` says. */
export function isAdmitted(
  { thresholds, sureThresholds }: DonorThresholds,
  part: LookupPart,
  similarity: number,
  isSure = false,
): boolean {
  return similarity >= (isSure ? sureThresholds : thresholds)[part];
}

type DonorHit = Exclude<HitKind, 'exact' | 'near' | 'miss'>;

/**
 * Where hits start. On an earlier denoiser of the demo package (512 prompts a row, donors above the thresholds)
 * these lost at most 1 % of adherence and drifted at most 5 % in Frechet distance against full generations. An
 * object alone kept its adherence from 0.8 on, but the empty surroundings drifted by 21 % there, so it starts one
 * notch earlier, at 0.9.
 */
const START_TIMES: Readonly<Record<DonorHit, number>> = {
  whole: 0.3,
  'object+background': 0.7,
  object: 0.9,
  background: 0.95,
};

/**
 * The calibration of a package that brings none of its own: thresholds from its manifest and one
 * conservative start time for each kind of hit, whatever the similarity above the threshold, with steps as long
 * as those of a full generation; no near hits. `PackageCalibration` has what was measured of a package.
 */
export class DefaultCalibration implements Calibration {
  readonly fullSolver: SolverName;
  readonly maxGeneration = 3;
  readonly #thresholds: Readonly<Record<DonorHit, number>>;

  /**
   * @param fullSolver the manifest's `scheduler.solver`
   * @throws InvalidInputError when a threshold is not in -1..1.
   */
  constructor(thresholds: SimilarityThresholds, fullSolver: SolverName = 'euler') {
    this.fullSolver = fullSolver;
    for (const part of ['whole', 'object', 'background'] as const) {
      const threshold = thresholds[part];
      if (threshold >= -1 && threshold <= 1) continue;
      throw new InvalidInputError(
        `lookup.thresholds.${part}`,
        `threshold ${threshold} is not a cosine in -1..1`,
        'set the threshold in the manifest to a number in -1..1',
      );
    }
    this.#thresholds = {
      whole: thresholds.whole,
      // Each donor of a pair was admitted by its own part's threshold before it was paired.
      'object+background': Math.min(thresholds.object, thresholds.background),
      object: thresholds.object,
      background: thresholds.background,
    };
  }

  admits(part: LookupPart, similarity: number): boolean {
    return similarity >= this.#thresholds[part];
  }

  decide(kind: CalibratedKind, similarity: number, fullSteps: number): StartPoint | null {
    if (kind === 'miss' || kind === 'near' || kind === 'placed') return null;
    if (kind === 'exact') return startPoint(0, 0, this.fullSolver);
    if (!(similarity >= this.#thresholds[kind])) return null;
    return proportionalStart(START_TIMES[kind], fullSteps, this.fullSolver);
  }
}
