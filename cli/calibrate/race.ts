import { isRegional } from '#core/generation.ts';
import type { MeasuredKind } from './donors.ts';
import { fails, meets, strain, type LossMeter, type MeasuredLoss } from './losses.ts';
import type { Objective } from './objective.ts';
import type { GridPoint } from './start-grid.ts';
import { meanEquivalents, type VideoOutcome } from './video-maker.ts';

/** What is raced: starts of a kind of hit, or budgets of full generations. */
export type RacedKind = MeasuredKind | 'full';

/** One start for one kind of hit and bin, as far as it was measured. */
export interface RacedCell {
  kind: RacedKind;
  /** Of the bin's cases, the smallest. */
  similarity: number;
  start: GridPoint;
  samples: number;
  measured: MeasuredLoss;
  /** Mean compute, in evaluations of all tokens. */
  equivalents: number;
  outcomes: readonly VideoOutcome[];
  /** Mean distance of the features from those of the donors; absent where there are none. */
  diversity?: number;
  /** Why it was not measured further; null for those that were measured to the end. */
  reason: string | null;
}

export interface Race {
  kind: RacedKind;
  similarity: number;
  /** Full generations that the videos are compared with, of the cases in their order. */
  full: readonly VideoOutcome[];
  /** Of the cases, which have the same prompt; each another unless told. */
  groups?: readonly number[];
  starts: readonly GridPoint[];
}

export interface RaceOptions {
  objective: Objective;
  meter: LossMeter;
  /** Makes the videos of the first so many cases, for each start. */
  run: (starts: readonly GridPoint[], count: number) => Promise<VideoOutcome[][]>;
}

/** Videos of a cell in the first round. */
export const FIRST_ROUND = 64;

/** Of starts of one cost, how many go on. */
const KEPT_PER_COST = 2;
/** In rounds of many videos, and of regions, which are evaluated one by one. */
const KEPT_OF_COSTLY = 1;
const MANY_VIDEOS = 256;

const LOSES_MORE = 'loses more than the objective, with 95 % confidence';
const COSTS_MORE = 'costs more than a start that meets the objective';

/**
 * Measures starts on more and more cases, twice as many each time. Out go those that lose too much with 95 % confidence, those
 * that cost more than one which meets the objective already, and of one cost all but the best two, at last
 * the best one. Where what met it on few cases does not on all, those that were out for their cost race again.
 *
 * @returns every start with what was measured of it, the cheapest first
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
  // The same full generations for all cells of a round: what is known of them is kept.
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
