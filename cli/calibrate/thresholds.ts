import type { SimilarityThresholds } from '#core/calibration.ts';
import { cosine } from '#core/cosine.ts';
import type { LookupPart } from '#core/generation.ts';
import { promptForKeys } from '#core/prompt.ts';
import { judgements, type JudgedAttribute } from '#core/shown-attributes.ts';
import { quantileOf } from '#core/statistics/intervals.ts';
import { verifyDonor } from '#core/verify-donor.ts';
import { CANDIDATES_PER_PART, type Donor } from './donors.ts';
import type { PromptCase } from './prompt-sets.ts';

/** How thresholds were found. */
export interface MeasuredThresholds {
  thresholds: SimilarityThresholds;
  /** Of the donors that similarity admits, and those that show what was asked; null without a judge. */
  pairs: Record<LookupPart, { admitted: number; right: number; recall: number } | null>;
}

/** Pairs above a threshold: fewer say nothing of a precision of 97 %. */
const FEWEST_PAIRS = 32;

/**
 * The least similarities from which on donors show what was asked of a part in at least that share of
 * the cases, judged over the videos that the look-up proposes and does not refuse (`verifyDonor`), for the
 * whole those of the very same prompt among them.
 *
 * Without a judge nothing tells what a video shows: then a donor has to be as similar to the prompt as
 * the middle one of the videos that were made for their own prompts.
 *
 * @param precision 0..1
 */
export function measureThresholds(
  prompts: readonly PromptCase[],
  donors: readonly Donor[],
  attributes: readonly JudgedAttribute[],
  precision: number,
): MeasuredThresholds {
  const thresholds = { whole: 1, object: 1, background: 1 };
  const pairs: MeasuredThresholds['pairs'] = { whole: null, object: null, background: null };
  // The parts first: of a whole that is the same both have to be similar enough.
  for (const part of ['object', 'background', 'whole'] as const) {
    const judged = judgedPairs(part, prompts, donors, attributes, thresholds);
    if (judged.length === 0) {
      thresholds[part] = middleOwnSimilarity(part, donors);
      continue;
    }
    const { threshold, ...found } = leastPrecise(judged, precision);
    thresholds[part] = threshold;
    pairs[part] = found;
  }
  return { thresholds, pairs };
}

interface JudgedPair {
  similarity: number;
  isRight: boolean;
}

/** None where nothing tells what a video shows. */
function judgedPairs(
  part: LookupPart,
  prompts: readonly PromptCase[],
  donors: readonly Donor[],
  attributes: readonly JudgedAttribute[],
  thresholds: SimilarityThresholds,
): JudgedPair[] {
  const seen = donors.flatMap(({ stored: { logits } }) =>
    logits === null ? [] : [judgements(attributes, logits).map(({ value }) => value)],
  );
  if (attributes.length === 0 || seen.length < donors.length) return [];
  const keys = donors.map(({ record }) => promptForKeys(record.prompt));
  const admits = (each: LookupPart, similarity: number): boolean => similarity >= thresholds[each];
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
    // Any video shows all of what nobody asked for; a prompt that came again says nothing new.
    if (vector === null || named.length === 0 || met.has(key)) continue;
    met.add(key);
    const question = { prompt, embedding, calibration: { admits }, judged: attributes };
    const nearest = donors
      .flatMap(({ record }, index) => {
        const shown = record.vectors[part];
        const isSame = keys[index] === key;
        // The parts of a video of the same prompt are never lent: the whole of it is.
        if (shown === null || (part !== 'whole' && isSame)) return [];
        return [{ record, index, isSame, similarity: cosine(vector, shown) }];
      })
      .sort((one, other) => other.similarity - one.similarity)
      .slice(0, CANDIDATES_PER_PART);
    for (const { record, index, isSame, similarity } of nearest) {
      if (verifyDonor(part, question, record, isSame).shows !== 'asked') continue;
      const isRight = named.every(
        ({ index: attribute, value }) => seen[index]![attribute] === value,
      );
      pairs.push({ similarity, isRight });
    }
  }
  return pairs;
}

/** The least similarity above which the share of right pairs is at least the precision. */
function leastPrecise(
  pairs: readonly JudgedPair[],
  precision: number,
): { threshold: number; admitted: number; right: number; recall: number } {
  const ordered = [...pairs].sort((one, other) => other.similarity - one.similarity);
  const allRight = ordered.filter(({ isRight }) => isRight).length;
  let right = 0;
  let best = { threshold: 1, admitted: 0, right: 0, recall: 0 };
  for (const [index, { similarity, isRight }] of ordered.entries()) {
    if (isRight) right += 1;
    const admitted = index + 1;
    const isDecided = admitted >= Math.min(FEWEST_PAIRS, ordered.length);
    if (isDecided && right > 0 && right / admitted >= precision) {
      best = { threshold: similarity, admitted, right, recall: right / allRight };
    }
  }
  return best;
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
