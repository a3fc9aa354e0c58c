import { HORIZONTAL, horizontalAmountsAxis, rowsAxis } from '../report/html/axes.ts';
import { drawChart } from '../report/html/draw-chart.ts';
import { escapeHtml } from '../report/html/escape-html.ts';
import { chartSection, COLORS, type HtmlTable } from '../report/html/sections.ts';
import { STYLE } from '../report/html/style.ts';
import { factsOf, remarksOf, type Simulation } from './describe-simulation.ts';
import type { NamedResult } from './run-simulation.ts';
import { dollarColumns, dollarDigits, hitColumns, HITS, type Column } from './simulation-rows.ts';

/** A segment of a horizontal stacked bar. */
interface Stack {
  name: string;
  color: string;
  valueOf(row: NamedResult): number;
}

/** Formats a simulation as one self-contained page without scripts. */
export function simulationPage(simulation: Simulation): string {
  const facts = factsOf(simulation);
  const title = `Simulated cost of ${simulation.path}`;
  const { results } = simulation.answer;
  const digits = dollarDigits(simulation.answer);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(facts[0]!.says[0]!)}</p>
</header>
<main>
${stackedSection(
  'Dollars by cache',
  'Cost of the same requests with each policy, by capacity and tier.',
  DOLLARS,
  results,
  dollarColumns(simulation.answer),
  (value) => `$${value.toFixed(value === 0 ? 0 : Math.min(2, digits))}`,
)}
${stackedSection(
  'Hits by kind',
  'Requests by kind of hit. The rest of a bar is misses.',
  HIT_STACKS,
  results,
  hitColumns(),
  (value) => `${Math.round(100 * value)} %`,
  1,
)}
${listSection('How to read this', remarksOf(simulation))}
${listSection(
  'Inputs',
  facts.flatMap(({ about, says }) => says.map((line) => `${about}: ${line}`)),
)}
</main>
</body>
</html>
`;
}

const DOLLARS: readonly Stack[] = [
  { name: 'GPU', color: COLORS[0]!, valueOf: ({ result }) => result.dollars.gpu },
  { name: 'requests', color: COLORS[1]!, valueOf: ({ result }) => result.dollars.requests },
  { name: 'storage', color: COLORS[2]!, valueOf: ({ result }) => result.dollars.storage },
];

const HIT_STACKS: readonly Stack[] = HITS.filter(([hit]) => hit !== 'miss').map(
  ([hit, name], index) => ({
    name,
    color: COLORS[index]!,
    valueOf: ({ result }) => result.hits[hit] / result.requests,
  }),
);

function listSection(title: string, lines: readonly string[]): string {
  const items = lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('\n');
  return `<section><h2>${title}</h2><ul>\n${items}\n</ul></section>`;
}

function stackedSection(
  title: string,
  says: string,
  stacks: readonly Stack[],
  rows: readonly NamedResult[],
  columns: readonly Column[],
  label: (value: number) => string,
  most?: number,
): string {
  const chart = drawChart(
    title,
    (size) => ({
      grid: HORIZONTAL,
      xAxis: { ...horizontalAmountsAxis(label), ...(most === undefined ? {} : { max: most }) },
      yAxis: rowsAxis(rows.map(nameOf), size),
      series: stacks.map(({ color, valueOf }) => ({
        type: 'bar',
        stack: 'all',
        data: rows.map(valueOf),
        itemStyle: { color },
        barMaxWidth: 18,
        silent: true,
      })),
    }),
    rows.length,
  );
  return chartSection(title, says, { chart, legend: stacks, table: tableOf(title, columns, rows) });
}

function nameOf({ policy, capacity, tier }: NamedResult): string {
  return `${policy}, ${capacity}${tier === 'fast' ? ', fast' : ''}`;
}

function tableOf(
  caption: string,
  columns: readonly Column[],
  rows: readonly NamedResult[],
): HtmlTable {
  return {
    caption,
    head: columns.map(({ name }) => name),
    texts: columns.flatMap(({ isText }, index) => (isText ? [index] : [])),
    rows: rows.map((row) => columns.map((column) => column.of(row))),
  };
}
