import { isAdmitted, type Calibration, type DonorThresholds } from '#core/planning/calibration.ts';
import { cosine } from '#core/cosine.ts';
import type { LookupPart } from '#core/generation.ts';
import { promptForKeys } from '#core/requests/prompt.ts';
import { judgements, type JudgedAttribute } from '#core/planning/shown-attributes.ts';
import { quantileOf } from '#core/statistics/intervals.ts';
import { verifyDonor } from '#core/planning/verify-donor.ts';
import type { Donor } from './donors.ts';
import { CANDIDATES_PER_PART } from '#core/planning/plan.ts';
import type { PromptCase } from './prompt-sets.ts';

/** Measured thresholds with their statistics. */
export interface MeasuredThresholds extends DonorThresholds {
  /** Pairs that the thresholds admit, and how many of them are right; null without a judge. */
  pairs: Record<LookupPart, AdmittedPairs | null>;
}

/**
 * Pairs of prompts and donors that thresholds admit; `recall` is the share of all right pairs that
 * are admitted.
 */
export interface AdmittedPairs {
  admitted: number;
  right: number;
  recall: number;
}

/** Minimum pairs above a threshold: fewer cannot establish a precision of 97 %. */
const MIN_PAIRS = 32;

/**
 * Measures the minimum similarities above which at least `precision` of the donors show what was
 * asked of a part. The sample is the videos that the lookup proposes and verification accepts
 * (`verifyDonor`); for the whole it includes those of the same prompt.
 *
 * Without a judge the threshold is the median similarity of videos to their own prompts.
 *
 * @param precision 0..1
 */
export function measureThresholds(
  prompts: readonly PromptCase[],
  donors: readonly Donor[],
  attributes: readonly JudgedAttribute[],
  precision: number,
): MeasuredThresholds {
  const found: Record<keyof DonorThresholds, Record<LookupPart, number>> = {
    thresholds: { whole: 1, object: 1, background: 1 },
    sureThresholds: { whole: 1, object: 1, background: 1 },
  };
  const pairs: MeasuredThresholds['pairs'] = { whole: null, object: null, background: null };
  // Parts first: for an identical whole, both have to be similar enough.
  for (const part of ['object', 'background', 'whole'] as const) {
    const judged = judgedPairs(part, prompts, donors, attributes, found);
    if (judged.length === 0) {
      const threshold = middleOwnSimilarity(part, donors);
      for (const each of Object.values(found)) each[part] = threshold;
      continue;
    }
    const [sure, others] = [true, false].map((isSure) =>
      judged.filter((pair) => pair.isSure === isSure),
    );
    found.sureThresholds[part] = leastPrecise(sure!, precision);
    // Sure donors need no more similarity than unsure ones.
    found.thresholds[part] = Math.max(leastPrecise(others!, precision), found.sureThresholds[part]);
    pairs[part] = admittedOf(part, judged, found);
  }
  return { ...found, pairs };
}

function admittedOf(
  part: LookupPart,
  pairs: readonly JudgedPair[],
  thresholds: DonorThresholds,
): AdmittedPairs {
  const admitted = pairs.filter(({ similarity, isSure }) =>
    isAdmitted(thresholds, part, similarity, isSure),
  );
  const right = countRight(admitted);
  return { admitted: admitted.length, right, recall: right / Math.max(1, countRight(pairs)) };
}

function countRight(pairs: readonly JudgedPair[]): number {
  return pairs.filter(({ isRight }) => isRight).length;
}

interface JudgedPair {
  similarity: number;
  /** Whether the judge was sure to see everything asked. */
  isSure: boolean;
  /** Whether the judge's values, sure or not, match what was asked. */
  isRight: boolean;
}

/** Returns the judged pairs of a part; none without a judge. */
function judgedPairs(
  part: LookupPart,
  prompts: readonly PromptCase[],
  donors: readonly Donor[],
  attributes: readonly JudgedAttribute[],
  thresholds: DonorThresholds,
): JudgedPair[] {
  const seen = donors.flatMap(({ stored: { logits } }) =>
    logits === null ? [] : [judgements(attributes, logits).map(({ value }) => value)],
  );
  if (attributes.length === 0 || seen.length < donors.length) return [];
  const admits: Calibration['admits'] = (...donor) => isAdmitted(thresholds, ...donor);
  const pairs: JudgedPair[] = [];
  const met = new Set<string>();
  for (const { prompt, asked, embedding } of prompts) {
    const key = promptForKeys(prompt);
    const vector = embedding.vectors[part];
    const named = asked.flatMap((value, index) =>
      value !== null && (part === 'whole' || attributes[index]!.part === part)
        ? [{ index, value }]
        : [],
    );
    // A prompt that asks nothing of a part is satisfied by any video; a repeated prompt adds no
    // information.
    if (vector === null || named.length === 0 || met.has(key)) continue;
    met.add(key);
    const question = { prompt, embedding, calibration: { admits }, judged: attributes };
    const nearest = donors
      .flatMap(({ record, key: ofDonor }, index) => {
        const shown = record.vectors[part];
        const isSame = ofDonor === key;
        // A video of the same prompt is reused as a whole; its parts never are.
        if (shown === null || (part !== 'whole' && isSame)) return [];
        return [{ record, index, isSame, similarity: cosine(vector, shown) }];
      })
      .sort((one, other) => other.similarity - one.similarity)
      .slice(0, CANDIDATES_PER_PART);
    for (const { record, index, isSame, similarity } of nearest) {
      const { shows, isSure } = verifyDonor(part, question, record, isSame);
      if (shows !== 'asked') continue;
      const isRight = named.every(
        ({ index: attribute, value }) => seen[index]![attribute] === value,
      );
      pairs.push({ similarity, isSure, isRight });
    }
  }
  return pairs;
}

/**
 * Returns the minimum similarity above which the share of right pairs is at least the precision.
 */
function leastPrecise(pairs: readonly JudgedPair[], precision: number): number {
  const ordered = [...pairs].sort((one, other) => other.similarity - one.similarity);
  let right = 0;
  let threshold = 1;
  for (const [index, { similarity, isRight }] of ordered.entries()) {
    if (isRight) right += 1;
    const admitted = index + 1;
    const isDecided = admitted >= Math.min(MIN_PAIRS, ordered.length);
    if (isDecided && right > 0 && right / admitted >= precision) threshold = similarity;
  }
  return threshold;
}

function middleOwnSimilarity(part: LookupPart, donors: readonly Donor[]): number {
  const own = donors.flatMap(({ stored, record }) => {
    const [asked, shown] = [stored.of.embedding.vectors[part], record.vectors[part]];
    return asked === null || shown === null ? [] : [cosine(asked, shown)];
  });
  if (own.length === 0) return 1;
  return quantileOf(
    own.sort((one, other) => one - other),
    0.5,
  );
}
