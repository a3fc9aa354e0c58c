import { digitsFor, dollars, usd } from './dollars.ts';
import { escapeHtml } from './escape-html.ts';

/** A color of the style sheet and its meaning. */
export interface LegendEntry {
  name: string;
  /** `var(--c1)`. */
  color: string;
}

/** Color-blind safe (after Okabe and Ito), in light and dark mode. */
export const COLORS = [
  'var(--c1)',
  'var(--c2)',
  'var(--c3)',
  'var(--c4)',
  'var(--c5)',
  'var(--c6)',
];

type Cell = string | bigint;

export interface HtmlTable {
  caption: string;
  /** The first column names the row; the others hold numbers, except those in `texts`. */
  head: readonly string[];
  /** Pico-dollars as bigint; a column has the same number of decimals throughout. */
  rows: readonly (readonly Cell[])[];
  foot?: readonly Cell[];
  /** Indices of text columns. */
  texts?: readonly number[];
}

/** Longer cells may wrap. */
const LONG_CHARACTERS = 32;

/** Tables with at most this many rows start expanded. */
const OPEN_ROWS = 12;

/** Renders a chart with its legend, a description, and a table of its figures. */
export function chartSection(
  title: string,
  says: string,
  {
    chart,
    legend = [],
    table,
  }: { chart: string; legend?: readonly LegendEntry[]; table: HtmlTable },
): string {
  const entries = legend.map(
    ({ name, color }) => `<li><i style="background:${color}"></i>${escapeHtml(name)}</li>`,
  );
  return `<section>
<h2>${escapeHtml(title)}</h2>
<p>${escapeHtml(says)}</p>
<figure>${entries.length < 2 ? '' : `<ul class="legend" aria-hidden="true">${entries.join('')}</ul>`}${chart}</figure>
${foldedTable(table)}
</section>`;
}

/** Renders a section with a table only. */
export function tableSection(title: string, says: string, table: HtmlTable): string {
  return `<section>
<h2>${escapeHtml(title)}</h2>
<p>${escapeHtml(says)}</p>
${htmlTable(table)}
</section>`;
}

/** Renders a section without data. */
export function emptySection(title: string, says: string): string {
  return `<section>
<h2>${escapeHtml(title)}</h2>
<p>${escapeHtml(says)}</p>
</section>`;
}

function foldedTable(table: HtmlTable): string {
  const isOpen = table.rows.length <= OPEN_ROWS;
  return `<details${isOpen ? ' open' : ''}><summary>${escapeHtml(table.caption)}</summary>${htmlTable(table)}</details>`;
}

function htmlTable({ caption, head, rows, foot, texts = [] }: HtmlTable): string {
  const isText = (index: number): boolean => index === 0 || texts.includes(index);
  const digits = head.map((_, index) => digitsOfColumn([...rows, foot ?? []], index));
  const cells = (row: readonly Cell[]): string =>
    row
      .map((cell, index) => (typeof cell === 'bigint' ? usd(cell, digits[index]) : cell))
      .map((cell, index) => {
        const long = cell.length > LONG_CHARACTERS ? ' long' : '';
        return index === 0
          ? `<th scope="row" class="text${long}">${escapeHtml(cell)}</th>`
          : `<td${isText(index) ? ` class="text${long}"` : ''}>${escapeHtml(cell)}</td>`;
      })
      .join('');
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(caption)}"><table>
<thead><tr>${head.map((name, index) => `<th scope="col"${isText(index) ? ' class="text"' : ''}>${escapeHtml(name)}</th>`).join('')}</tr></thead>
<tbody>
${rows.map((row) => `<tr>${cells(row)}</tr>`).join('\n')}
</tbody>${foot === undefined ? '' : `<tfoot><tr>${cells(foot)}</tr></tfoot>`}
</table></div>`;
}

/** Returns the decimals that show four significant digits of the largest amount. */
function digitsOfColumn(rows: readonly (readonly Cell[])[], index: number): number {
  const amounts = rows.flatMap((row) => {
    const cell = row[index];
    return typeof cell === 'bigint' ? [Math.abs(dollars(cell))] : [];
  });
  return digitsFor(Math.max(0, ...amounts), 4);
}
