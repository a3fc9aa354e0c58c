import { validateShare } from '#core/requests/request.ts';
import { fromDecimals } from '#readers/request-line.ts';

export interface ReuseOptions {
  maxReuse?: string;
  minSimilarity?: string;
}

/**
 * How far a command may reuse what is stored, where its options say so.
 *
 * @throws InvalidInputError naming the option unless it is a number 0..1.
 */
export function reuseBounds({ maxReuse, minSimilarity }: ReuseOptions): {
  maxReuse?: number;
  minSimilarity?: number;
} {
  return {
    ...(maxReuse !== undefined && { maxReuse: validateShare('maxReuse', fromDecimals(maxReuse)) }),
    ...(minSimilarity !== undefined && {
      minSimilarity: validateShare('minSimilarity', fromDecimals(minSimilarity)),
    }),
  };
}
