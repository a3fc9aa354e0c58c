import { FrechetReference, type FrechetDistance } from '#core/statistics/frechet.ts';
import {
  bootstrapEstimate,
  mean,
  ONE_SIDED_95,
  TWO_SIDED_95,
  upperBound,
  type BootstrapOptions,
  type Estimate,
} from '#core/statistics/intervals.ts';
import type { Objective } from './objective.ts';
import type { VideoOutcome } from './video-maker.ts';

/**
 * Losses of a set of videos relative to full generations of the same prompts; positive is worse.
 */
export interface Loss {
  /**
   * Share of the full generations' adherence; null without a judge, or if no prompt names a judged
   * attribute.
   */
  adherence: Estimate | null;
  /** Share of the full generations' text-video similarity. */
  similarity: Estimate;
  /**
   * Growth of the Frechet distance to the reference over that of the full generations, in units of
   * `FRECHET_UNIT`, in the video tower's vectors.
   */
  frechet: Estimate;
  /** The same in the judge's features; absent without a judge. */
  frechetJudge?: Estimate;
}

/** Upper bounds of the losses with 95 % confidence. */
export interface LossBounds {
  adherence: number;
  frechet: number;
}

export interface MeasuredLoss {
  loss: Loss;
  upper: LossBounds;
  /** Lower bounds of the losses with 95 % confidence. */
  lower: LossBounds;
}

/** Means over a set of videos. */
export interface Quality {
  adherence: number | null;
  similarity: number;
  frechet: number;
}

/**
 * Unit of Frechet growth, as a share of the reference's variance. It is about the distance of the
 * demo model's full generations from real clips (3,160 of 33,000 in its judge's features). The full
 * generations' own distance cannot be the unit: to a reference of the same model it is sampling
 * noise and shrinks with the number of videos.
 */
const FRECHET_UNIT = 0.1;

/** Principal components of the features for Frechet distances. */
const COMPONENTS = 64;

/** Minimum base of relative losses, to avoid division by 0. */
const MIN_BASE = 1e-12;

/** Compares videos with full generations of the same prompts. */
export class LossMeter {
  readonly #judge: FrechetReference | null;
  readonly #tower: FrechetReference;
  readonly #seed: number;
  /** Cached distances of full generations, which many cells share. */
  readonly #distances = new WeakMap<readonly VideoOutcome[], Distances>();

  /** @param reference full generations whose features define the target distribution */
  constructor(reference: readonly VideoOutcome[], seed: number) {
    const features = featuresOf(reference);
    this.#judge = features && new FrechetReference(features, COMPONENTS);
    this.#tower = new FrechetReference(
      reference.map(({ tower }) => tower),
      COMPONENTS,
    );
    this.#seed = seed;
  }

  /**
   * Measures the losses of videos.
   *
   * @param videos one for each of `full`, of the same prompt
   * @param groups prompt group of each video: losses within a group are not independent
   * @param full reuse the same array for the same full generations to reuse cached results
   */
  compare(
    videos: readonly VideoOutcome[],
    full: readonly VideoOutcome[],
    groups: readonly number[] = [...full.keys()],
  ): MeasuredLoss {
    const adherence = relativeLosses(
      videos.map((video) => video.adherence),
      full.map((video) => video.adherence),
      groups,
    );
    const similarity = relativeLosses(
      videos.map((video) => video.similarity),
      full.map((video) => video.similarity),
      groups,
    )!;
    // Without a judge, the similarity of prompt and video replaces adherence.
    const deciding = adherence ?? similarity;
    const ofVideos = this.#distancesOf(videos);
    const ofFull = this.#fullDistances(full);
    const frechet = growthOf(ofVideos.tower, ofFull.tower, this.#tower, groups);
    const frechetJudge =
      this.#judge === null || ofVideos.judge === null || ofFull.judge === null
        ? null
        : growthOf(ofVideos.judge, ofFull.judge, this.#judge, groups);
    const bound = (side: 1 | -1): LossBounds => ({
      adherence:
        side *
        upperBound(
          deciding.values.map((value) => side * value),
          this.#bootstrap(deciding),
        ),
      frechet: frechet.growth + side * ONE_SIDED_95 * frechet.error,
    });
    return {
      loss: {
        adherence: adherence && bootstrapEstimate(adherence.values, this.#bootstrap(adherence)),
        similarity: bootstrapEstimate(similarity.values, this.#bootstrap(similarity)),
        frechet: estimateOf(frechet),
        ...(frechetJudge && { frechetJudge: estimateOf(frechetJudge) }),
      },
      upper: bound(1),
      lower: bound(-1),
    };
  }

  #bootstrap({ groups }: PairedLosses): BootstrapOptions {
    return { seed: this.#seed, groups };
  }

  qualityOf(videos: readonly VideoOutcome[]): Quality {
    const adherence = videos.flatMap((video) => video.adherence ?? []);
    return {
      adherence: adherence.length === 0 ? null : mean(adherence),
      similarity: mean(videos.map((video) => video.similarity)),
      frechet: this.#distancesOf(videos).tower.distance,
    };
  }

  #fullDistances(full: readonly VideoOutcome[]): Distances {
    let distances = this.#distances.get(full);
    if (distances === undefined) {
      distances = this.#distancesOf(full);
      this.#distances.set(full, distances);
    }
    return distances;
  }

  #distancesOf(videos: readonly VideoOutcome[]): Distances {
    const features = featuresOf(videos);
    return {
      tower: this.#tower.distanceTo(videos.map(({ tower }) => tower)),
      judge: features && (this.#judge?.distanceTo(features) ?? null),
    };
  }
}

/** Distances in the video tower's vectors, and in the judge's features if there is a judge. */
interface Distances {
  tower: FrechetDistance;
  judge: FrechetDistance | null;
}

/** Whether a loss is within the objective with 95 % confidence. */
export function meets({ upper }: MeasuredLoss, objective: Objective): boolean {
  return upper.adherence <= objective.adherence && upper.frechet <= objective.frechet;
}

/** Whether a loss is above the objective with 95 % confidence. */
export function fails({ lower }: MeasuredLoss, objective: Objective): boolean {
  return lower.adherence > objective.adherence || lower.frechet > objective.frechet;
}

/**
 * Computes how close a loss is to its limit; 1 is exactly at the limit. Ranks candidates of equal
 * cost.
 */
export function strain({ loss }: MeasuredLoss, objective: Objective): number {
  return Math.max(
    (loss.adherence ?? loss.similarity).mean / objective.adherence,
    loss.frechet.mean / objective.frechet,
  );
}

function featuresOf(videos: readonly VideoOutcome[]): Float32Array[] | null {
  const features = videos.flatMap((video) => video.features ?? []);
  return features.length === videos.length ? features : null;
}

/** Losses of videos as shares of the mean of their full generations. */
interface PairedLosses {
  values: number[];
  groups: number[];
}

/** Computes paired relative losses; null if no pair has both values. */
function relativeLosses(
  values: readonly (number | null)[],
  full: readonly (number | null)[],
  groups: readonly number[],
): PairedLosses | null {
  const pairs = values.flatMap((value, index) => {
    const other = full[index]!;
    return value === null || other === null ? [] : [{ value, other, group: groups[index]! }];
  });
  if (pairs.length === 0) return null;
  const base = Math.max(MIN_BASE, mean(pairs.map(({ other }) => other)));
  return {
    values: pairs.map(({ value, other }) => (other - value) / base),
    groups: pairs.map(({ group }) => group),
  };
}

interface Growth {
  growth: number;
  /** Standard error. */
  error: number;
}

/**
 * Computes Frechet growth over paired rows, which cancels the prompt's effect on both distances.
 */
function growthOf(
  one: FrechetDistance,
  full: FrechetDistance,
  { variance }: FrechetReference,
  groups: readonly number[],
): Growth {
  const base = Math.max(MIN_BASE, FRECHET_UNIT * variance);
  const ofGroups = new Map<number, number>();
  for (const [row, value] of one.influence.entries()) {
    const difference = value - full.influence[row]!;
    ofGroups.set(groups[row]!, (ofGroups.get(groups[row]!) ?? 0) + difference);
  }
  const squares = [...ofGroups.values()].reduce((sum, value) => sum + value ** 2, 0);
  return {
    growth: (one.distance - full.distance) / base,
    error: Math.sqrt(squares) / one.influence.length / base,
  };
}

function estimateOf({ growth, error }: Growth): Estimate {
  return {
    mean: growth,
    low: growth - TWO_SIDED_95 * error,
    high: growth + TWO_SIDED_95 * error,
  };
}
