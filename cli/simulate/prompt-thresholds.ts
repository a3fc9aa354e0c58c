import type { SimilarityThresholds } from '#core/planning/calibration.ts';
import { InvalidInputError } from '#core/errors.ts';
import { LOOKUP_PARTS, type LookupPart } from '#core/generation.ts';
import { items } from './parse-lists.ts';

/**
 * Computes the minimum cosines between prompt and video for a hit.
 *
 * @param given the package's thresholds
 * @param text overrides, such as `whole=0.95,object=0.9`
 * @throws InvalidInputError that names an unknown part or an invalid cosine
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
        `threshold "${pair}" is not a cosine above 0 of ${LOOKUP_PARTS.join(', ')}`,
        'write whole=0.95,object=0.95,background=0.9',
      );
    }
    thresholds[part] = cosine;
  }
  return thresholds;
}
