import type { Anchor, HitKind, LookupPart, SolverName } from '../generation.ts';
import { InvalidInputError } from '../errors.ts';
import { withoutNoise } from './limit-reuse.ts';

/** Start time and network evaluations of a hit. */
export interface StartPoint {
  /** 0..1; 1 would be a full generation. */
  startTime: number;
  /** Network evaluations, fewer than a full generation's. */
  steps: number;
  solver: SolverName;
  anchor: Anchor;
  /** Expected compute, in evaluations of all tokens. */
  equivalents: number;
  /** Expected loss relative to a full generation, 0.01 is 1 %; absent if not measured. */
  loss?: number;
}

/** Returns a start from which everything is denoised, one evaluation of all tokens per step. */
export function startPoint(
  startTime: number,
  steps: number,
  solver: SolverName = 'euler',
): StartPoint {
  return { startTime, steps, solver, anchor: 'none', equivalents: steps };
}

/**
 * Computes a start with steps at most as long as those of a full generation: the start time's share
 * of them, rounded up.
 *
 * @param fullSteps network evaluations of a full generation; Infinity asks only for the start, with
 * 0 steps
 * @returns null if that equals the steps of a full generation
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
 * Kinds that are calibrated separately: the kinds of hits, and `placed` backgrounds, whose own
 * object is where the requested one goes.
 */
export type CalibratedKind = HitKind | 'placed';

/** Decides how much of its donors a hit may reuse. */
export interface Calibration {
  /** Solver of full generations. */
  readonly fullSolver: SolverName;
  /** Entries this many reuses from a full generation cannot be donors; Infinity for no limit. */
  readonly maxReuseDepth: number;
  /**
   * Whether a video's part is similar enough to be reused, alone or as one of two parts.
   *
   * @param isSure whether the package's judge was sure to see everything asked of the part; such
   * donors need less similarity. False if unknown.
   */
  admits(part: LookupPart, similarity: number, isSure?: boolean): boolean;
  /**
   * Returns the start of a hit.
   *
   * @param similarity cosine of the request and its donor, -1..1; for two donors the smaller one
   * @param fullSteps network evaluations of a full generation of the same request; Infinity
   * considers only the similarity
   * @returns null if the hit must not be used: too dissimilar, or without savings
   */
  decide(kind: CalibratedKind, similarity: number, fullSteps: number): StartPoint | null;
}

/** Minimum similarity of donors. */
export type SimilarityThresholds = { readonly [Part in LookupPart]: number };

/**
 * Minimum similarity of any donor, and of donors in which a judge was sure to see what is asked.
 */
export interface DonorThresholds {
  readonly thresholds: SimilarityThresholds;
  readonly sureThresholds: SimilarityThresholds;
}

/** Whether thresholds admit a donor of a part; see `Calibration.admits`. */
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
 * Default start times. On an earlier denoiser of the demo package (512 prompts per row, donors
 * above the thresholds) these lost at most 1 % of adherence and drifted at most 5 % in Frechet
 * distance relative to full generations. Objects alone kept their adherence from 0.8 on, but the
 * empty surroundings drifted by 21 % there, so they start one notch earlier, at 0.9.
 */
const START_TIMES: Readonly<Record<DonorHit, number>> = {
  whole: 0.3,
  'object+background': 0.7,
  object: 0.9,
  background: 0.95,
};

/**
 * Calibration of an uncalibrated package: thresholds from its manifest and one conservative start
 * time per kind of hit, regardless of similarity above the threshold, with steps as long as those
 * of a full generation; no near hits. `PackageCalibration` uses measurements.
 */
export class DefaultCalibration implements Calibration {
  readonly fullSolver: SolverName;
  readonly maxReuseDepth = 3;
  readonly #thresholds: Readonly<Record<DonorHit, number>>;

  /**
   * @param fullSolver the manifest's `scheduler.solver`
   * @throws InvalidInputError if a threshold is not in -1..1
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
      // Each donor of a pair passed its own part's threshold before pairing.
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
