import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import { LOOKUP_PARTS } from '#core/generation.ts';
import { lineageAfter, lineageOf, type Lineage } from '#core/planning/lineage.ts';
import { isAnswer, makePlan, type Candidate } from '#core/planning/plan.ts';

/** Videos made one after the other, each from earlier ones: the steps it asked for, and its donors. */
interface Made {
  steps: number;
  donors: { index: number; similarity: number }[];
}

const histories = fc
  .array(
    fc.record({
      steps: fc.integer({ min: 1, max: 24 }),
      donors: fc.array(
        fc.record({ index: fc.nat(), similarity: fc.double({ min: 0, max: 1, noNaN: true }) }),
        { maxLength: 2 },
      ),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((made) =>
    made.map(({ steps, donors }, at) => ({
      steps,
      donors: at === 0 ? [] : donors.map((donor) => ({ ...donor, index: donor.index % at })),
    })),
  );

function lineagesOf(history: readonly Made[]): Lineage[] {
  const lineages: Lineage[] = [];
  for (const { steps, donors } of history) {
    const links = donors.map(({ index, similarity }) => ({
      similarity,
      lineage: lineages[index]!,
    }));
    lineages.push(lineageAfter(steps, links));
  }
  return lineages;
}

/** The videos that one goes back to, itself included, and every similarity on the way. */
function ancestry(history: readonly Made[], at: number): { steps: number[]; cosines: number[] } {
  const { steps, donors } = history[at]!;
  const before = donors.map(({ index }) => ancestry(history, index));
  return {
    steps: [steps, ...before.flatMap((one) => one.steps)],
    cosines: [
      ...donors.map(({ similarity }) => similarity),
      ...before.flatMap(({ cosines }) => cosines),
    ],
  };
}

describe('where a video comes from', () => {
  it('holds the steps and the least similarity of a request through all ancestors of its donors', () => {
    fc.assert(
      fc.property(
        histories,
        fc.integer({ min: 1, max: 24 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(),
        (history, steps, minSimilarity, seed) => {
          const candidates = lineagesOf(history).map((lineage, index): Candidate => {
            const name = String(index);
            return { entryId: name, similarity: 0.95, latentKey: name, ...lineage };
          });
          const request = { seed, steps, cache: 'auto', minSimilarity, maxReuse: 1 } as const;

          const { donors } = makePlan({
            request,
            exactVideoId: null,
            candidates: { whole: candidates, object: candidates, background: candidates },
            calibration: new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 }),
          });

          for (const { entryId, similarity } of donors) {
            const past = ancestry(history, Number(entryId));
            expect(Math.min(...past.steps)).toBeGreaterThanOrEqual(steps);
            expect(Math.min(similarity, ...past.cosines)).toBeGreaterThanOrEqual(minSimilarity);
          }
          for (const [index, candidate] of candidates.entries()) {
            const past = ancestry(history, index);
            expect(isAnswer(candidate, { ...request, remixOf: null })).toBe(
              Math.min(...past.steps) >= steps && Math.min(1, ...past.cosines) >= minSimilarity,
            );
          }
        },
      ),
    );
  });

  it('finds the donor that holds both bounds, however good the others look', () => {
    const draft = { reuseDepth: 0, steps: 1, leastSimilarity: 1 };
    // So many that a background alone saves one.
    const steps = 20;
    const farFetched = { reuseDepth: 1, steps, leastSimilarity: 0.91 };
    const good = { reuseDepth: 0, steps, leastSimilarity: 1 };
    const candidate = (entryId: string, similarity: number, lineage: Lineage): Candidate => ({
      entryId,
      similarity,
      latentKey: entryId,
      ...lineage,
    });
    for (const part of LOOKUP_PARTS) {
      const { donors } = makePlan({
        request: { seed: 1, steps, cache: 'auto', minSimilarity: 0.95, maxReuse: 1 },
        exactVideoId: null,
        candidates: {
          whole: [],
          object: [],
          background: [],
          [part]: [
            candidate('draft', 1, draft),
            candidate('far-fetched', 0.99, farFetched),
            candidate('good', 0.96, good),
          ],
        },
        calibration: new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 }),
      });
      expect(donors.map(({ entryId }) => entryId)).toEqual(['good']);
    }
  });

  it('is not known of what has a donor whose record is gone', () => {
    expect(lineageAfter(12, [{ similarity: 0.9, lineage: null }])).toEqual({
      reuseDepth: 1,
      steps: 0,
      leastSimilarity: 0,
    });
  });

  it('is taken from the evaluations that were run where an older record does not say', () => {
    expect(lineageOf({ reuseDepth: 0, stepsRun: 12 })).toMatchObject({
      steps: 12,
      leastSimilarity: 1,
    });
    expect(lineageOf({ reuseDepth: 2, stepsRun: 3 })).toMatchObject({
      steps: 3,
      leastSimilarity: 0,
    });
  });
});
