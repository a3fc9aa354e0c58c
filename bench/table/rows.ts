import type { FullGeneration } from './system.ts';

/** Full generations that rows are made with. */
export interface FullGenerations {
  /** The package's tuned solver at its tuned N. */
  tuned: FullGeneration;
  /** Euler at the N that was tuned for it. */
  euler: FullGeneration;
  /** The tuned solver at the N of few-step models. */
  few: FullGeneration;
  /** What quality is measured against. */
  reference: FullGeneration;
}

export type FullName = keyof FullGenerations;

export type SystemKind =
  'none' | 'nirvana' | 'flexcache-like' | 'modm-like' | 'vllm-omni-like' | 'ours';

/** A row of the table. */
export interface Row {
  id: string;
  /** As the table names it. */
  label: string;
  kind: SystemKind;
  full: FullName;
  /** Ladder as published, not refitted. */
  isPublished?: boolean;
  /** Hits are stored too. */
  storesHits?: boolean;
  /** What is left out of ours. */
  without?: 'decoupling' | 'regions' | 'verification' | 'calibration' | 'codec';
  /** Requests in drawn order. */
  isShuffled?: boolean;
  /** Only on the requests that quality is compared on. */
  isOnlyMeasured?: boolean;
}

const SOLVER_NAMES: Readonly<Record<FullName, string>> = {
  tuned: 'tuned solver',
  euler: 'Euler',
  few: 'N=4',
  reference: 'Euler',
};

function rowsOf(
  id: string,
  label: string,
  row: Omit<Row, 'id' | 'label' | 'full'>,
  fulls: readonly FullName[],
): Row[] {
  return fulls.map((full) => ({
    ...row,
    id: full === 'tuned' ? id : `${id}-${full}`,
    label: `${label}, ${SOLVER_NAMES[full]}`,
    full,
  }));
}

const BOTH: readonly FullName[] = ['euler', 'tuned'];
const ALL: readonly FullName[] = ['euler', 'tuned', 'few'];

/** Every row, the slowest of a phase first: rows run side by side. */
export const ROWS: readonly Row[] = [
  ...rowsOf('none-50', 'no cache, N=50', { kind: 'none', isOnlyMeasured: true }, ['reference']).map(
    (row) => ({ ...row, id: 'none-50' }),
  ),
  ...rowsOf('none', 'no cache', { kind: 'none' }, ALL),
  ...rowsOf(
    'nirvana-published-misses',
    'NIRVANA-video as published (misses stored)',
    { kind: 'nirvana', isPublished: true },
    BOTH,
  ),
  ...rowsOf(
    'nirvana-published-all',
    'NIRVANA-video, published ladder, all stored',
    { kind: 'nirvana', isPublished: true, storesHits: true },
    BOTH,
  ),
  ...rowsOf(
    'nirvana-refitted-misses',
    'NIRVANA-video, refitted ladder, misses stored',
    { kind: 'nirvana' },
    BOTH,
  ),
  ...rowsOf(
    'nirvana-refitted-all',
    'NIRVANA-video, refitted ladder, all stored',
    { kind: 'nirvana', storesHits: true },
    ALL,
  ),
  ...rowsOf('flexcache-like', 'FlexCache-like', { kind: 'flexcache-like' }, ALL),
  ...rowsOf('modm-like', 'MoDM-like', { kind: 'modm-like' }, ALL),
  ...rowsOf('vllm-omni-like', 'vLLM-Omni-like', { kind: 'vllm-omni-like' }, ALL),
  ...rowsOf('ours', 'FlexCache', { kind: 'ours' }, ALL),
  ...(['decoupling', 'regions', 'verification', 'calibration', 'codec'] as const).flatMap(
    (without) =>
      rowsOf(`ours-without-${without}`, `FlexCache without ${without}`, { kind: 'ours', without }, [
        'tuned',
      ]),
  ),
  ...rowsOf('ours-shuffled', 'FlexCache, shuffled trace', { kind: 'ours', isShuffled: true }, [
    'tuned',
  ]),
  ...rowsOf(
    'nirvana-shuffled',
    'NIRVANA-video, refitted, all stored, shuffled trace',
    { kind: 'nirvana', storesHits: true, isShuffled: true },
    ['tuned'],
  ),
];

/** Whether a row's ladder is fitted on the tuning split. */
export function needsTuning({ kind, isPublished = false }: Row): boolean {
  return kind !== 'none' && kind !== 'ours' && !isPublished;
}
