import { nonIncreasingFit } from '#core/statistics/monotone.ts';
import { meets, type LossMeter } from './losses.ts';
import type { Objective } from './objective.ts';
import type { RacedCell } from './race.ts';
import { nameOfStart } from './start-grid.ts';
import type { VideoOutcome } from './video-maker.ts';

/** Cells of one kind of hit in one similarity bin. */
export interface MeasuredBin {
  cells: readonly RacedCell[];
  /** Full generations of the bin's cases, in order. */
  full: readonly VideoOutcome[];
  /**
   * Group of each case; cases of one group have the same prompt. By default every case is its own
   * group.
   */
  groups?: readonly number[];
}

/**
 * Chooses the plan of each bin of a kind of hit: the cheapest start that meets the objective with
 * 95 % confidence, or null.
 *
 * Loss must not rise with donor similarity: where it seems to, bins are merged (`nonIncreasingFit`)
 * and judged by all their videos. Nor may a more similar donor cost more: a bin takes no cheaper
 * plan than the next more similar one.
 *
 * @param bins of one kind, the least similar first
 */
export function choosePlans(
  bins: readonly MeasuredBin[],
  objective: Objective,
  meter: LossMeter,
): (RacedCell | null)[] {
  const fitted = fitBins(bins, meter);
  const chosen: (RacedCell | null)[] = bins.map(() => null);
  let least = 0;
  for (let bin = bins.length - 1; bin >= 0; bin--) {
    const good = fitted[bin]!.filter(
      (cell) => cell.reason === null && meets(cell.measured, objective),
    )
      .filter(({ equivalents }) => equivalents >= least)
      .sort(
        (one, other) =>
          one.equivalents - other.equivalents ||
          adherenceLoss(one) - adherenceLoss(other) ||
          one.measured.loss.frechet.mean - other.measured.loss.frechet.mean,
      );
    const [best] = good;
    // A start that fails for similar donors is not trusted for less similar ones.
    if (best === undefined) break;
    chosen[bin] = best;
    least = best.equivalents;
  }
  return chosen;
}

function fitBins(bins: readonly MeasuredBin[], meter: LossMeter): RacedCell[][] {
  const fitted = bins.map(({ cells }) => [...cells]);
  const names = new Set(bins.flatMap(({ cells }) => cells.map(({ start }) => nameOfStart(start))));
  for (const name of names) {
    const places = bins.flatMap(({ cells }, bin) => {
      const index = cells.findIndex(
        ({ start, reason }) => nameOfStart(start) === name && reason === null,
      );
      return index < 0 ? [] : [{ bin, index, cell: cells[index]! }];
    });
    const blocks = nonIncreasingFit(
      places.map(({ cell }) => adherenceLoss(cell)),
      places.map(({ cell }) => cell.samples),
    );
    for (const { from, to } of blocks) {
      if (to - from < 2) continue;
      const together = places.slice(from, to);
      const outcomes = together.flatMap(({ cell }) => cell.outcomes);
      const full = together.flatMap(({ bin, cell }) => bins[bin]!.full.slice(0, cell.samples));
      const groups = together.flatMap(({ bin, cell }) =>
        (bins[bin]!.groups ?? [...bins[bin]!.full.keys()]).slice(0, cell.samples),
      );
      const measured = meter.compare(outcomes, full, groups);
      for (const { bin, index, cell } of together) {
        fitted[bin]![index] = {
          ...cell,
          measured,
          samples: outcomes.length,
          equivalents: cell.equivalents,
          outcomes,
        };
      }
    }
  }
  return fitted;
}

function adherenceLoss({ measured: { loss } }: RacedCell): number {
  return (loss.adherence ?? loss.similarity).mean;
}
