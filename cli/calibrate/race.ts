import { isRegional } from '#core/generation.ts';
import type { MeasuredKind } from './donors.ts';
import { fails, meets, strain, type LossMeter, type MeasuredLoss } from './losses.ts';
import type { Objective } from './objective.ts';
import type { GridPoint } from './start-grid.ts';
import { meanEquivalents, type VideoOutcome } from './video-maker.ts';

/** Contestants of a race: starts of a kind of hit, or budgets of full generations. */
export type RacedKind = MeasuredKind | 'full';

/** One start for one kind of hit and bin, with its measurements so far. */
export interface RacedCell {
  kind: RacedKind;
  /** Minimum similarity of the bin's cases. */
  similarity: number;
  start: GridPoint;
  samples: number;
  measured: MeasuredLoss;
  /** Mean compute, in evaluations of all tokens. */
  equivalents: number;
  outcomes: readonly VideoOutcome[];
  /** Mean feature distance from the donors; absent without donors. */
  diversity?: number;
  /** Why it was dropped; null if fully measured. */
  reason: string | null;
}

export interface Race {
  kind: RacedKind;
  similarity: number;
  /** Full generations of the cases, in order, to compare the videos with. */
  full: readonly VideoOutcome[];
  /**
   * Group of each case; cases of one group have the same prompt. By default every case is its own
   * group.
   */
  groups?: readonly number[];
  starts: readonly GridPoint[];
}

export interface RaceOptions {
  objective: Objective;
  meter: LossMeter;
  /** Makes the videos of the first `count` cases for each start. */
  run: (starts: readonly GridPoint[], count: number) => Promise<VideoOutcome[][]>;
}

/** Videos per cell in the first round. */
export const FIRST_ROUND = 64;

/** Number of starts per cost that continue. */
const KEPT_PER_COST = 2;
/** The same in rounds of many videos and for regions, which are evaluated one by one. */
const KEPT_OF_COSTLY = 1;
const MANY_VIDEOS = 256;

const LOSES_MORE = 'loses more than the objective, with 95 % confidence';
const COSTS_MORE = 'costs more than a start that meets the objective';

/**
 * Measures starts on more and more cases, doubling each round. A start is dropped if it loses too
 * much with 95 % confidence, if it costs more than one that meets the objective, or if it is not
 * among the best two of its cost (in later rounds, the best one). If a start that met the objective
 * on few cases fails on all, those dropped for their cost race again.
 *
 * @returns every start with its measurements, the cheapest first
 */
export async function race(contest: Race, options: RaceOptions): Promise<RacedCell[]> {
  const cells = await raceOnce(contest, options);
  const dear = cells.filter(({ reason }) => reason === COSTS_MORE);
  const isWon = cells.some(
    ({ reason, measured }) => reason === null && meets(measured, options.objective),
  );
  if (isWon || dear.length === 0) return cells;
  const again = await race({ ...contest, starts: dear.map(({ start }) => start) }, options);
  return ordered([...cells.filter((cell) => !dear.includes(cell)), ...again]);
}

async function raceOnce(
  { kind, similarity, full: all, groups, starts }: Race,
  { objective, meter, run }: RaceOptions,
): Promise<RacedCell[]> {
  const out: RacedCell[] = [];
  let running = [...starts];
  // The same array of full generations for all cells of a round, to reuse cached results.
  let count = Math.min(FIRST_ROUND, all.length);
  while (running.length > 0 && count > 1) {
    const full = all.slice(0, count);
    const videos = await run(running, count);
    const cells = running.map((start, index): RacedCell => {
      const outcomes = videos[index]!;
      return {
        kind,
        similarity,
        start,
        samples: count,
        measured: meter.compare(outcomes, full, groups?.slice(0, count)),
        equivalents: meanEquivalents(outcomes),
        outcomes,
        reason: null,
      };
    });
    const { left, dropped } = select(cells, objective);
    out.push(...dropped);
    if (count === all.length) {
      out.push(...left);
      break;
    }
    running = left.map(({ start }) => start);
    count = Math.min(2 * count, all.length);
  }
  return ordered(out);
}

function ordered(cells: RacedCell[]): RacedCell[] {
  return cells.sort((one, other) => one.equivalents - other.equivalents);
}

function select(
  cells: readonly RacedCell[],
  objective: Objective,
): { left: RacedCell[]; dropped: RacedCell[] } {
  const passing = cells.filter(({ measured }) => meets(measured, objective));
  const cheapest = Math.min(...passing.map(({ equivalents }) => equivalents));
  const byStrain = [...cells].sort(
    (one, other) => strain(one.measured, objective) - strain(other.measured, objective),
  );
  const keptAtCost = new Map<string, number>();
  const left: RacedCell[] = [];
  const dropped: RacedCell[] = [];
  for (const cell of byStrain) {
    const reason = reasonOf(cell, cheapest, objective, keptAtCost);
    if (reason === null) left.push(cell);
    else dropped.push({ ...cell, reason });
  }
  return { left, dropped };
}

function reasonOf(
  { measured, equivalents, start, samples }: RacedCell,
  cheapest: number,
  objective: Objective,
  keptAtCost: Map<string, number>,
): string | null {
  if (fails(measured, objective)) return LOSES_MORE;
  if (equivalents > cheapest) return COSTS_MORE;
  const cost = `${start.steps} ${isRegional(start.anchor)}`;
  const kept = keptAtCost.get(cost) ?? 0;
  const most = isRegional(start.anchor) || samples >= MANY_VIDEOS ? KEPT_OF_COSTLY : KEPT_PER_COST;
  if (kept >= most) return 'loses more than others of its cost';
  keptAtCost.set(cost, kept + 1);
  return null;
}
