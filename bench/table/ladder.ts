/** From which similarity on how many steps of a full generation are skipped. */
export interface LadderRung {
  similarity: number;
  skipped: number;
}

/** Rungs of growing similarity and growing skips. */
export type Ladder = readonly LadderRung[];

/** Steps that a donor of this similarity lets skip; 0 is a miss. */
export function skippedSteps(ladder: Ladder, similarity: number): number {
  return ladder.findLast((rung) => similarity >= rung.similarity)?.skipped ?? 0;
}

/**
 * NIRVANA's selector (Agarwal et al., NSDI 2024): thresholds of the cosine of CLIP text embeddings and steps skipped
 * of 50, on this model's text tower and number of steps. A donor's state of the largest stored step that is no later
 * is taken, so skips are rounded down.
 */
export function publishedNirvanaLadder(steps: number): Ladder {
  const published = [
    [0.65, 5],
    [0.75, 10],
    [0.85, 15],
    [0.9, 20],
    [0.95, 25],
  ] as const;
  return published
    .map(([similarity, of50]) => ({ similarity, skipped: Math.floor((of50 * steps) / 50) }))
    .filter(({ skipped }, index, all) => skipped > (all[index - 1]?.skipped ?? 0));
}
