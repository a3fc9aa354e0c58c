import Table from 'cli-table3';
import { formatUsd } from '#core/pricing/money.ts';
import type { Adjustment, ComparedGroup, OutsideGroup } from '#core/reports/reconcile/bill-line.ts';
import type { BilledUsage, Comparison, Reconciliation } from '#core/reports/reconcile/reconcile.ts';
import { measuredShare } from './remarks.ts';

const DIGITS = 4;

const GROUP_NAMES: Readonly<Record<ComparedGroup, string>> = {
  gpu: 'GPU machines',
  functions: 'functions',
  workflow: 'workflow',
  table: 'table requests',
  objects: 'object requests',
  vectors: 'vector requests',
  queues: 'queues',
  storage: 'storage',
};

/** Reasons why a bill exceeds the report in a group. */
const BEYOND: Readonly<Record<ComparedGroup, string>> = {
  gpu: 'machines that boot, drain or are interrupted without a worker to record it, and unrecorded usage',
  functions: 'the API, schedules, webhooks, eviction passes and reports, which belong to no video',
  workflow: 'steps of backfills themselves, and retries without a record',
  table: 'the API, listings, eviction passes, reports, indexes and backups',
  objects: 'sweeps, uploads, downloads and media of the API',
  vectors: 'sweeps and other queries of the index',
  queues: 'empty receives of idle workers, and webhooks',
  storage:
    'objects stored only between passes, uploads, results of backfills, images and logs in buckets',
};

const OUTSIDE_NAMES: Readonly<Record<OutsideGroup, string>> = {
  network: 'data transfer between zones and to the internet, public addresses',
  disks: 'disks of machines',
  api: 'requests to the API',
  monitoring: 'logs, metrics, alarms',
  images: 'worker images',
  schedules: 'schedules',
};

const ADJUSTMENT_NAMES: Readonly<Record<Adjustment, string>> = {
  tax: 'tax',
  credit: 'credits',
  refund: 'refunds',
  discount: 'discounts and savings plans',
  fee: 'fees',
};

/** Renders a reconciliation as text. */
export function reconcileTable(reconciliation: Reconciliation): string {
  const { report, comparisons, billed } = reconciliation;
  const { from, to } = report.range;
  const table = new Table({
    head: ['', 'reported $', 'beyond $', 'free $', 'rates $', 'billed $'],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
  });
  for (const { group, ...amounts } of comparisons)
    table.push([GROUP_NAMES[group], ...columns(amounts)]);
  table.push(['compared', ...columns(totalOf(comparisons))]);
  const lines = [
    ...comparisons.flatMap(explain),
    ...reconciliation.outside.flatMap(({ group, billed: amount }) =>
      amount === 0n
        ? []
        : [
            `${usd(amount)} for ${OUTSIDE_NAMES[group]}: not in reports, because it belongs to no video`,
          ],
    ),
    ...reconciliation.adjustments.flatMap(({ group, billed: amount }) =>
      amount === 0n ? [] : [`${usd(amount)} of ${ADJUSTMENT_NAMES[group]}: not in list prices`],
    ),
    ...reconciliation.unknown.map(
      (usage) => `${usd(usage.billed)} for ${nameOf(usage)}: not mapped, ${count(usage.lines)}`,
    ),
  ];
  const { lines: left, billed: amount } = reconciliation.leftOut;
  return [
    table.toString(),
    `days      ${from} to ${to}, UTC`,
    `prices    ${report.region}, as of ${report.asOf}`,
    `billed    ${usd(billed)} in total`,
    ...(left === 0
      ? []
      : [`excluded  ${usd(amount)}, ${count(left)} of other days or without the tag`]),
    ...lines.map((line) => `  ${line}`),
    '',
  ].join('\n');

  function explain({ group, beyond, free, pricing, usage }: Comparison): string[] {
    const name = GROUP_NAMES[group];
    const largest = usage[0] === undefined ? '' : `; mostly ${nameOf(usage[0])}`;
    const said: string[] = [];
    if (beyond > 0n)
      said.push(`${name}: ${usd(beyond)} beyond the report, for ${BEYOND[group]}${largest}`);
    if (beyond < 0n) said.push(`${name}: ${usd(-beyond)} less usage than reported: ${less(group)}`);
    if (free < 0n) said.push(`${name}: ${usd(-free)} covered by the free tier`);
    if (pricing !== 0n) {
      said.push(
        `${name}: ${usd(pricing)} because billed rates differ from the price book: a discount, an outdated book, or rounding`,
      );
    }
    return said;
  }

  function less(group: ComparedGroup): string {
    if (group === 'storage')
      return `a pass measures the storage at its end${measuredShare(report)}`;
    return 'the bill is not final, is of another account, or the report includes unbilled work of the embedded worker';
  }
}

/** Renders a reconciliation as JSON, with exact amounts as text. */
export function reconcileJson(reconciliation: Reconciliation): string {
  const { report, comparisons, outside, adjustments, unknown, billed, leftOut } = reconciliation;
  const usageOf = (usage: readonly BilledUsage[]): object[] =>
    usage.map(({ billed: amount, ...name }) => ({ ...name, billed: formatUsd(amount) }));
  const object = {
    format: 'flexcache-reconciliation/1',
    ...report.range,
    region: report.region,
    pricesAsOf: report.asOf,
    currency: 'USD',
    billed: formatUsd(billed),
    compared: comparisons.map(({ group, usage, ...amounts }) => ({
      group,
      ...Object.fromEntries(
        Object.entries(amounts).map(([name, amount]) => [name, formatUsd(amount)]),
      ),
      usage: usageOf(usage),
    })),
    outside: outside.map(({ group, billed: amount, usage }) => ({
      group,
      billed: formatUsd(amount),
      usage: usageOf(usage),
    })),
    adjustments: adjustments.map(({ group, billed: amount }) => ({
      group,
      billed: formatUsd(amount),
    })),
    unknown: usageOf(unknown),
    leftOut: { lines: leftOut.lines, billed: formatUsd(leftOut.billed) },
  };
  return `${JSON.stringify(object)}\n`;
}

type Amounts = Pick<Comparison, 'reported' | 'beyond' | 'free' | 'pricing' | 'billed'>;

function columns({ reported, beyond, free, pricing, billed }: Amounts): string[] {
  return [reported, beyond, free, pricing, billed].map((amount) => formatUsd(amount, DIGITS));
}

function totalOf(comparisons: readonly Comparison[]): Amounts {
  const sum = (field: keyof Amounts): bigint =>
    comparisons.reduce((total, comparison) => total + comparison[field], 0n);
  return {
    reported: sum('reported'),
    beyond: sum('beyond'),
    free: sum('free'),
    pricing: sum('pricing'),
    billed: sum('billed'),
  };
}

function nameOf({ product, usageType }: BilledUsage): string {
  return usageType === '' ? product : `${product} ${usageType}`;
}

function count(lines: number): string {
  return lines === 1 ? '1 line' : `${lines} lines`;
}

function usd(amount: bigint): string {
  return amount < 0n ? `-$${formatUsd(-amount, DIGITS)}` : `$${formatUsd(amount, DIGITS)}`;
}
