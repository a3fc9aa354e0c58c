import { escapeHtml } from '../report/html/escape-html.ts';
import { factsOf, remarksOf, type Simulation } from './describe-simulation.ts';
import type { NamedResult } from './run-simulation.ts';
import { dollarColumns, hitColumns, type Column } from './simulation-rows.ts';

/** A simulation as one page that needs nothing else. */
export function simulationPage(simulation: Simulation): string {
  const { results } = simulation.answer;
  const title = `Simulation of ${simulation.path}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<pre>${escapeHtml(factsOf(simulation).join('\n'))}</pre>
<h2>Dollars</h2>
${tableOf(dollarColumns(simulation.answer), results)}
<h2>Hits, share of the requests</h2>
${tableOf(hitColumns(), results)}
<ul>
${remarksOf(simulation)
  .map((remark) => `<li>${escapeHtml(remark)}</li>`)
  .join('\n')}
</ul>
</main>
</body>
</html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#ddd, #444); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 75rem; margin: 0 auto; padding: 1rem; }
pre { white-space: pre-wrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
.text { text-align: left; }
`;

function tableOf(columns: readonly Column[], rows: readonly NamedResult[]): string {
  const cell = (tag: 'th' | 'td', column: Column, text: string): string =>
    `<${tag}${column.isText ? ' class="text"' : ''}>${escapeHtml(text)}</${tag}>`;
  const line = (cells: string[]): string => `<tr>${cells.join('')}</tr>`;
  return `<div class="wide"><table>
<thead>${line(columns.map((column) => cell('th', column, column.name)))}</thead>
<tbody>
${rows.map((row) => line(columns.map((column) => cell('td', column, column.of(row))))).join('\n')}
</tbody>
</table></div>`;
}
