import Table from 'cli-table3';
import { factsOf, remarksOf, type Simulation } from './describe-simulation.ts';
import type { NamedResult } from './run-simulation.ts';
import { dollarColumns, hitColumns, type Column } from './simulation-rows.ts';

const ABOUT_WIDTH = 9;

/** Formats a simulation for the terminal. */
export function simulationTable(simulation: Simulation): string {
  const { results } = simulation.answer;
  return [
    ...factsOf(simulation).flatMap(({ about, says }) =>
      says.map((line, index) => `${(index === 0 ? about : '').padEnd(ABOUT_WIDTH)}${line}`),
    ),
    '',
    tableOf(dollarColumns(simulation.answer), results),
    '',
    tableOf(hitColumns(), results),
    '',
    ...remarksOf(simulation),
    '',
  ].join('\n');
}

function tableOf(columns: readonly Column[], rows: readonly NamedResult[]): string {
  const table = new Table({
    head: columns.map(({ name }) => name),
    style: { head: [], border: [], compact: true },
    colAligns: columns.map(({ isText }) => (isText ? 'left' : 'right')),
  });
  for (const row of rows) table.push(columns.map((column) => column.of(row)));
  return table.toString();
}
