import type { Entry } from '../generation.ts';

/** Properties that an entry inherits from the entries that it was made from. */
export interface Lineage {
  /** 0 for a full generation, else 1 + the largest of its donors. */
  reuseDepth: number;
  /** Fewest network evaluations of the full generations that it descends from. */
  steps: number;
  /** Smallest similarity of a request and its donor in the chain; 1 for a full generation. */
  leastSimilarity: number;
}

/** One donor of a generation. */
export interface LineageLink {
  /** Cosine of the request's vector and the donor's. */
  similarity: number;
  /** Null if the donor's record is gone, so that its lineage is unknown. */
  lineage: Lineage | null;
}

/**
 * Returns the lineage of a stored entry. An entry without recorded lineage counts with its own
 * evaluations, which are at most a full generation's, and unless it is a full generation, with no
 * similarity.
 */
export function lineageOf(
  entry: Pick<Entry, 'reuseDepth' | 'steps' | 'stepsRun' | 'leastSimilarity'>,
): Lineage {
  const { reuseDepth, steps, stepsRun, leastSimilarity } = entry;
  return {
    reuseDepth,
    steps: steps ?? stepsRun,
    leastSimilarity: leastSimilarity ?? (reuseDepth === 0 ? 1 : 0),
  };
}

/**
 * Computes the lineage of a result; a full generation has no donors. A chain is as good as its
 * weakest link: a full generation of many steps that starts from a draft still shows the draft.
 *
 * @param steps network evaluations of a full generation of the request
 * @example
 * lineageAfter(12, [{ similarity: 0.9, lineage: lineageOf(donor) }]);
 */
export function lineageAfter(steps: number, donors: readonly LineageLink[]): Lineage {
  if (donors.length === 0) return { reuseDepth: 0, steps, leastSimilarity: 1 };
  const known = donors.flatMap(({ lineage }) => lineage ?? []);
  const isKnown = known.length === donors.length;
  return {
    reuseDepth: 1 + Math.max(0, ...known.map(({ reuseDepth }) => reuseDepth)),
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
