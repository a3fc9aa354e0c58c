import type { SimilarityThresholds } from '#core/planning/calibration.ts';
import { InvalidInputError } from '#core/errors.ts';
import { LOOKUP_PARTS, type LookupPart } from '#core/generation.ts';
import { items } from './parse-lists.ts';

/**
 * From which cosine on a video is near enough to a prompt.
 *
 * @param given the package's thresholds
 * @param text what was asked for instead, such as `whole=0.95,object=0.9`
 * @throws InvalidInputError naming what is no part, or no cosine.
 */
export function promptThresholds(
  given: SimilarityThresholds,
  text: string | undefined,
): SimilarityThresholds {
  const thresholds: Record<LookupPart, number> = { ...given };
  if (text === undefined) return thresholds;
  for (const pair of items('thresholds', text)) {
    const [name, digits = ''] = pair.split('=', 2).map((piece) => piece.trim());
    const part = LOOKUP_PARTS.find((candidate) => candidate === name);
    const cosine = digits === '' ? Number.NaN : Number(digits);
    if (part === undefined || !(cosine > 0 && cosine <= 1)) {
      throw new InvalidInputError(
        'thresholds',
        `threshold "${pair}" is no cosine above 0 of ${LOOKUP_PARTS.join(', ')}`,
        'write whole=0.95,object=0.95,background=0.9',
      );
    }
    thresholds[part] = cosine;
  }
  return thresholds;
}
