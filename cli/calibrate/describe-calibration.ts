import { LOOKUP_PARTS } from '#core/generation.ts';
import type { CalibrationFile, CalibratedPlan } from '#core/planning/calibration-file.ts';
import type { Estimate } from '#core/statistics/intervals.ts';
import { fittedTable, type Column } from '../fitted-table.ts';
import type { FullSearchResult } from './full-search.ts';
import type { RacedCell } from './race.ts';
import type { MeasuredThresholds } from './thresholds.ts';

type Row = Pick<
  CalibratedPlan,
  | 'kind'
  | 'similarity'
  | 'startTime'
  | 'steps'
  | 'solver'
  | 'anchor'
  | 'equivalents'
  | 'samples'
  | 'loss'
> & { verdict: string };

/**
 * Describes the plans of a calibration, the best cells of kinds without a plan, and the held-out
 * result.
 */
export function describeCalibration(
  file: CalibrationFile,
  { pairs }: MeasuredThresholds,
  columns: number | undefined,
): string {
  const { full, reference, objective, thresholds, sureThresholds = thresholds, heldOut } = file;
  const rows = file.plans.map((plan): Row => ({ ...plan, verdict: 'chosen' }));
  const kinds = new Set(file.plans.map(({ kind }) => kind));
  const without = [...new Set(file.measured.map(({ kind }) => kind))].filter(
    (kind) => !kinds.has(kind),
  );
  const parts = LOOKUP_PARTS.map((part) => {
    const found = pairs[part];
    const precision =
      found === null || found.admitted === 0
        ? ''
        : ` (${percent(found.right / found.admitted)} of ${found.admitted} right, recall ${percent(found.recall)})`;
    const [sure, others] = [sureThresholds[part].toFixed(3), thresholds[part].toFixed(3)];
    return `${part} ${sure === others ? others : `${sure} if the judge is sure, otherwise ${others}`}${precision}`;
  });
  return [
    fittedTable(COLUMNS, rows, columns).text,
    `full generation: ${full.solver}, ${full.steps} evaluations, adherence ${share(full.adherence)}; ` +
      `reference ${reference?.steps} evaluations: ${share(reference?.adherence ?? null)}`,
    `objective: at most ${percent(objective.adherence)} adherence loss and ${percent(objective.frechet)} Frechet growth, with 95 % confidence`,
    ...(without.length > 0 ? [`no plan, generated in full: ${without.join(', ')}`] : []),
    `donors from cosine ${parts.join(', ')}`,
    file.maxReuseDepth === null
      ? `chained reuse: no limit found in ${Math.max(0, ...(file.chainedReuse ?? []).map(({ reuseDepth }) => reuseDepth))}`
      : `chained reuse: at most ${file.maxReuseDepth}`,
    ...(heldOut === null
      ? []
      : [
          `held-out prompts (${heldOut.samples}): ${heldOut.equivalents.toFixed(2)} evaluations a video, ` +
            `adherence loss ${interval(heldOut.loss.adherence)}, Frechet growth ${interval(heldOut.loss.frechet)}: ` +
            (heldOut.isWithinObjective ? 'within the objective' : 'NOT within the objective'),
          `hits: ${Object.entries(heldOut.hits ?? {})
            .map(([hit, count]) => `${count} ${hit}`)
            .join(', ')}`,
        ]),
    '',
  ].join('\n');
}

/** Describes the losses of full generations for each solver and budget against the reference. */
export function describeFullSearch(
  { cells, found }: FullSearchResult,
  columns: number | undefined,
): string {
  const rows = cells.map(rowOf);
  return [
    fittedTable(
      COLUMNS.filter(({ head }) => head !== 'kind' && head !== 'similarity'),
      rows,
      columns,
    ).text,
    found === null
      ? 'no full generation meets the objective'
      : `found: ${found.start.solver}, ${found.start.steps} evaluations`,
    '',
  ].join('\n');
}

function rowOf({
  kind,
  similarity,
  start,
  equivalents,
  samples,
  measured,
  reason,
}: RacedCell): Row {
  return {
    ...start,
    kind: kind as Row['kind'],
    similarity,
    equivalents,
    samples,
    loss: measured.loss,
    verdict: reason ?? 'fully measured',
  };
}

const COLUMNS: readonly Column<Row>[] = [
  { head: 'kind', align: 'left', rank: 1, cell: ({ kind }) => kind },
  {
    head: 'similarity',
    align: 'right',
    rank: 2,
    cell: ({ similarity }) => `>= ${similarity.toFixed(3)}`,
  },
  { head: 't0', align: 'right', rank: 3, cell: ({ startTime }) => String(startTime) },
  { head: 'steps', align: 'right', rank: 3, cell: ({ steps }) => String(steps) },
  {
    head: 'equivalents',
    align: 'right',
    rank: 6,
    cell: ({ equivalents }) => equivalents.toFixed(2),
  },
  { head: 'solver', align: 'left', rank: 4, cell: ({ solver }) => solver },
  { head: 'anchor', align: 'left', rank: 5, cell: ({ anchor }) => anchor },
  { head: 'n', align: 'right', rank: 5, cell: ({ samples }) => String(samples) },
  {
    head: 'adherence loss %',
    align: 'right',
    rank: 2,
    cell: ({ loss }) => interval(loss.adherence),
  },
  { head: 'Frechet growth %', align: 'right', rank: 2, cell: ({ loss }) => interval(loss.frechet) },
  { head: 'verdict', align: 'left', rank: 7, cell: ({ verdict }) => verdict },
];

function interval(estimate: Estimate | null): string {
  if (estimate === null) return 'no judge';
  const { mean, low, high } = estimate;
  const text = (value: number): string => (100 * value).toFixed(1);
  return `${text(mean)} [${text(low)}, ${text(high)}]`;
}

function percent(value: number): string {
  return `${Number((100 * value).toFixed(1))} %`;
}

function share(value: number | null): string {
  return value === null ? 'not judged' : value.toFixed(4);
}
