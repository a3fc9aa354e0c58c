import { formatUsd } from '#core/pricing/money.ts';
import { idleCost, type BaselineCostLine } from '#core/costs/idle-cost.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { createApp } from '#infra/create-app.ts';
import { ASSUMPTIONS, standingUse, type Template } from './monthly-usage.ts';

/**
 * Prints the monthly cost of an idle, empty deployment as Markdown:
 * `node bench/idle-cost.ts`.
 */
const { app } = createApp({ context: { bundle: false } });
const templates = app.synth().stacks.map((stack) => stack.template as Template);
const book = priceBookOf('us-east-1');
const cost = idleCost(standingUse(templates), book);
const dollars = (amount: bigint): string => `$${formatUsd(amount, 4)}`;

const byWhat = Map.groupBy(cost.lines, ({ what }) => what);
const sum = (lines: readonly BaselineCostLine[], amount: 'listed' | 'paid'): string =>
  dollars(lines.reduce((total, line) => total + line[amount], 0n));
const rows = [
  ['what', 'list price', 'after free allowances'],
  ['---', '---:', '---:'],
  ...[...byWhat].map(([what, lines]) => [what, sum(lines, 'listed'), sum(lines, 'paid')]),
  ['**total**', `**${dollars(cost.listed)}**`, `**${dollars(cost.paid)}**`],
];
process.stdout.write(
  [
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    `List prices of ${book.region}, ${book.asOf}. Free allowances assume an account that runs nothing else.`,
    `Each scheduled call is assumed to take ${ASSUMPTIONS.secondsPerCall} s and to write ${ASSUMPTIONS.logBytesPerCall} bytes of logs.`,
    '',
  ].join('\n'),
);
