import type { Entry } from '../generation.ts';

/** What an entry owes to the entries that it was made from, and they to theirs. */
export interface Lineage {
  /** 0 for a full generation, else 1 + the largest of its donors. */
  generation: number;
  /** Fewest network evaluations of the full generations that it goes back to. */
  steps: number;
  /** Smallest similarity of a request and its donor on the way; 1 for a full generation. */
  leastSimilarity: number;
}

/** One donor of a generation. */
export interface LineageLink {
  /** Cosine of the request's vector and the donor's. */
  similarity: number;
  /** Null where the donor's record is gone: then nothing is known of where it came from. */
  lineage: Lineage | null;
}

/**
 * Of a stored entry. One whose record does not say counts with the evaluations that were run for it,
 * which are no more than a full generation's, and unless it is a full generation with no similarity.
 */
export function lineageOf(
  entry: Pick<Entry, 'generation' | 'steps' | 'stepsRun' | 'leastSimilarity'>,
): Lineage {
  const { generation, steps, stepsRun, leastSimilarity } = entry;
  return {
    generation,
    steps: steps ?? stepsRun,
    leastSimilarity: leastSimilarity ?? (generation === 0 ? 1 : 0),
  };
}

/**
 * Of what is made from these donors; a full generation has none. A chain is as good as its weakest
 * link: a full generation of many steps that starts from a draft still shows the draft.
 *
 * @param steps network evaluations of a full generation of the request
 * @example
 * lineageAfter(12, [{ similarity: 0.9, lineage: lineageOf(donor) }]);
 */
export function lineageAfter(steps: number, donors: readonly LineageLink[]): Lineage {
  if (donors.length === 0) return { generation: 0, steps, leastSimilarity: 1 };
  const known = donors.flatMap(({ lineage }) => lineage ?? []);
  const isKnown = known.length === donors.length;
  return {
    generation: 1 + Math.max(0, ...known.map(({ generation }) => generation)),
    steps: isKnown ? Math.min(steps, ...known.map((lineage) => lineage.steps)) : 0,
    leastSimilarity: isKnown
      ? Math.max(
          0,
          Math.min(
            ...donors.map(({ similarity }) => similarity),
            ...known.map((lineage) => lineage.leastSimilarity),
          ),
        )
      : 0,
  };
}
