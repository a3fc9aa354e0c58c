import Table from 'cli-table3';

export interface Column<Row> {
  head: string;
  align: 'left' | 'right';
  cell(row: Row): string;
  /** Columns of a lower rank are left out last. */
  rank: number;
  /** May be cut to fit; at most one column may. */
  isCut?: true;
}

export interface FittedTable {
  text: string;
  /** Heads of the columns that found no place. */
  leftOut: string[];
}

const CELL_SPACES = 2;
const LAST_BORDER = 1;
/** What a cell takes beside its text. */
const CELL_FRAME = CELL_SPACES + LAST_BORDER;
/** Of a Chinese character, in columns of a terminal. */
const WIDEST_CHARACTER = 2;
/** A text that is cut to less says nothing. */
const MIN_CUT = 16;

/**
 * A table of at most so many characters in a row: the column that may be cut gets what is left, and
 * columns that do not fit are left out.
 *
 * @param width undefined for as wide as it is
 */
export function fittedTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | undefined,
): FittedTable {
  const cells = new Map(columns.map((column) => [column, rows.map((row) => column.cell(row))]));
  const natural = (column: Column<Row>): number =>
    Math.max(column.head.length, ...cells.get(column)!.map((cell) => cell.length));
  const least = (column: Column<Row>): number =>
    CELL_FRAME + (column.isCut ? Math.min(natural(column), MIN_CUT) : natural(column));
  let free = (width ?? Infinity) - LAST_BORDER;
  const fitting = new Set<Column<Row>>();
  for (const column of [...columns].sort((one, other) => one.rank - other.rank)) {
    // The first stays whatever there is: a table without it says nothing of its rows.
    if (fitting.size > 0 && least(column) > free) break;
    fitting.add(column);
    free -= least(column);
  }
  const shown = columns.filter((column) => fitting.has(column));
  const table = new Table({
    head: shown.map(({ head }) => head),
    style: { head: [], border: [], compact: true },
    colAligns: shown.map(({ align }) => align),
    colWidths: shown.map((column) => {
      const room = least(column) + free - LAST_BORDER;
      const mayBeCut = column.isCut && WIDEST_CHARACTER * natural(column) + CELL_SPACES > room;
      return mayBeCut ? room : null;
    }),
  });
  for (const index of rows.keys()) table.push(shown.map((column) => cells.get(column)![index]!));
  return {
    text: table.toString(),
    leftOut: columns.filter((column) => !fitting.has(column)).map(({ head }) => head),
  };
}
