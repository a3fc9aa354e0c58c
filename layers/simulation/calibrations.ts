import {
  proportionalStart,
  startPoint,
  type Calibration,
  type StartPoint,
} from '#core/planning/calibration.ts';
import { InvalidInputError } from '#core/errors.ts';
import type { HitKind, LookupPart, SolverName } from '#core/generation.ts';

/** Maps a minimum similarity of a donor to a start time. */
export interface Rung {
  /** Cosine, above 0. */
  similarity: number;
  /** Between 0 and 1. */
  startTime: number;
}

/**
 * Applies another calibration's start times to a model whose hit steps were never tuned: a hit runs
 * its share of the full number.
 */
export class ProportionalCalibration implements Calibration {
  readonly fullSolver: SolverName;
  readonly maxReuseDepth: number;
  readonly #measured: Calibration;

  constructor(measured: Calibration) {
    this.fullSolver = measured.fullSolver;
    this.maxReuseDepth = measured.maxReuseDepth;
    this.#measured = measured;
  }

  admits(part: LookupPart, similarity: number, isSure?: boolean): boolean {
    return this.#measured.admits(part, similarity, isSure);
  }

  decide(kind: HitKind, similarity: number, fullSteps: number): StartPoint | null {
    const start = this.#measured.decide(kind, similarity, Infinity);
    if (start === null || kind === 'exact') return start;
    return proportionalStart(start.startTime, fullSteps, start.solver);
  }
}

/** Calibration for whole prompts only: the more similar the donor, the lower the start time. */
export class LadderCalibration implements Calibration {
  readonly fullSolver = 'euler';
  readonly maxReuseDepth = 3;
  readonly #rungs: readonly Rung[];

  /** @throws InvalidInputError without rungs, or if a rung is not steeper than the previous one */
  constructor(rungs: readonly Rung[]) {
    for (const [index, { similarity, startTime }] of rungs.entries()) {
      const below = rungs[index - 1] ?? { similarity: 0, startTime: 1 };
      if (similarity > below.similarity && similarity <= 1) {
        if (startTime < below.startTime && startTime > 0) continue;
      }
      throw new InvalidInputError(
        'ladder',
        `rung ${index + 1}, from similarity ${similarity} at start time ${startTime}, is not steeper than the previous one`,
        'give rungs with increasing similarity, 0 to 1, and decreasing start time, 1 to 0',
      );
    }
    if (rungs.length === 0) {
      throw new InvalidInputError('ladder', 'the ladder has no rungs', 'give at least one');
    }
    this.#rungs = rungs;
  }

  admits(part: LookupPart, similarity: number): boolean {
    return part === 'whole' && similarity >= this.#rungs[0]!.similarity;
  }

  decide(kind: HitKind, similarity: number, fullSteps: number): StartPoint | null {
    if (kind === 'exact') return startPoint(0, 0, this.fullSolver);
    if (kind !== 'whole') return null;
    const rung = this.#rungs.findLast((candidate) => similarity >= candidate.similarity);
    return rung === undefined
      ? null
      : proportionalStart(rung.startTime, fullSteps, this.fullSolver);
  }
}
