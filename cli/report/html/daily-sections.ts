import type { EvictionReason } from '#core/retention/retention-run.ts';
import { EVICTION_REASONS } from '#core/reports/evictions.ts';
import type { Report } from '#core/reports/report.ts';
import { amountsAxis, namesAxis, VERTICAL } from './axes.ts';
import { axisDollars, dollars, percent, usd } from './dollars.ts';
import { drawChart, type ChartOption } from './draw-chart.ts';
import type { Period } from './periods.ts';
import { COLORS, chartSection, emptySection, type LegendEntry } from './sections.ts';
import { storageSeries } from './storage-series.ts';

/** Bars of one color, one per period. */
export interface Stack extends LegendEntry {
  /** Dollars or counts. */
  values: number[];
}

export function costSection(report: Report, periods: readonly Period[]): string {
  const service =
    (...names: string[]) =>
    (period: Period): bigint =>
      names.reduce((sum, name) => sum + (period.services.get(name) ?? 0n), 0n);
  const functions = service('lambda', 'states');
  const data = (period: Period): bigint => period.total - period.gpu - functions(period);
  const items: [name: string, amountOf: (period: Period) => bigint][] = [
    ['GPU, generating videos', ({ gpu }) => gpu],
    ['GPU, waiting, starting or without a video', ({ machines }) => machines],
    ['functions and workflow', functions],
    ['table, objects, vectors, queues', data],
    ['storage rent', ({ storage }) => storage],
  ];
  const stacks = items.map(([name, amountOf], index) => ({
    name,
    color: COLORS[index]!,
    values: periods.map((period) => dollars(amountOf(period))),
  }));
  const sum = (amountOf: (period: Period) => bigint): bigint =>
    periods.reduce((total, period) => total + amountOf(period), 0n);
  const all = (period: Period): bigint => period.total + period.machines + period.storage;
  return chartSection(
    `Cost per ${unitOf(periods)}`,
    `${usd(report.all)} in total: ${items.map(([name, amountOf]) => `${usd(sum(amountOf))} for ${name}`).join(', ')}.`,
    {
      chart: stackedChart(
        `Cost per ${unitOf(periods)} in US dollars, stacked by item`,
        periods,
        stacks,
      ),
      legend: stacks,
      table: {
        caption: `Cost per ${unitOf(periods)}, US dollars`,
        head: [unitOf(periods), 'videos', ...items.map(([name]) => name), 'all', 'of which wasted'],
        rows: periods.map((period) => [
          period.name,
          String(period.videos),
          ...items.map(([, amountOf]) => amountOf(period)),
          all(period),
          period.wasted,
        ]),
        foot: [
          'all',
          String(report.videos.videos),
          ...items.map(([, amountOf]) => sum(amountOf)),
          report.all,
          report.videos.wasted,
        ],
      },
    },
  );
}

export function savedSection({ videos }: Report, periods: readonly Period[]): string {
  const stacks: Stack[] = [
    { name: 'without reuse', color: COLORS[5]!, values: periods.map(({ full }) => dollars(full)) },
    { name: 'with reuse', color: COLORS[0]!, values: periods.map(({ total }) => dollars(total)) },
  ];
  const { full, total, saved } = videos;
  return chartSection(
    'Savings from reuse',
    `Without reuse the videos would have cost ${usd(full)}; with reuse they cost ${usd(total)}: ${usd(saved)} saved, ${percent(saved, full)}. These figures do not include storage rent.`,
    {
      chart: drawChart(
        `Cost of videos per ${unitOf(periods)} in US dollars, without and with reuse`,
        () => ({
          grid: VERTICAL,
          xAxis: namesAxis(labelsOf(periods)),
          yAxis: amountsAxis(
            'US dollars',
            axisDollars(Math.max(...stacks.flatMap(({ values }) => values), 0)),
          ),
          series: stacks.map(({ name, color, values }) => ({
            type: 'bar' as const,
            name,
            data: values,
            itemStyle: { color },
            barGap: '10%',
            barMaxWidth: 36,
            silent: true,
          })),
        }),
      ),
      legend: stacks,
      table: {
        caption: `With and without reuse per ${unitOf(periods)}, US dollars`,
        head: [unitOf(periods), 'without reuse', 'with reuse', 'saved', 'share'],
        rows: periods.map((period) => [
          period.name,
          period.full,
          period.total,
          period.saved,
          percent(period.saved, period.full),
        ]),
        foot: ['all', full, total, saved, percent(saved, full)],
      },
    },
  );
}

export function storageSection(
  report: Report,
  periods: readonly Period[],
  measured: string,
): string {
  const title = 'Storage rent over time';
  if (report.storage === null) {
    return emptySection(title, 'Storage belongs to no tenant and is not in this report.');
  }
  if (report.storage === 0n) {
    return emptySection(
      title,
      `Storage cost nothing${measured || ', because nothing was stored'}.`,
    );
  }
  const series = storageSeries(periods);
  const sum = (amounts: readonly bigint[]): bigint =>
    amounts.reduce((total, each) => total + each, 0n);
  return chartSection(title, `${usd(report.storage)} for the contents of the cache${measured}.`, {
    chart: stackedChart(
      `Storage rent per ${unitOf(periods)} in US dollars, stacked by kind`,
      periods,
      series.map(({ amounts, ...entry }) => ({ ...entry, values: amounts.map(dollars) })),
    ),
    legend: series,
    table: {
      caption: `Storage rent per ${unitOf(periods)}, US dollars`,
      head: [unitOf(periods), ...series.map(({ name }) => name), 'all'],
      rows: periods.map((period, index) => [
        period.name,
        ...series.map(({ amounts }) => amounts[index]!),
        period.storage,
      ]),
      foot: ['all', ...series.map(({ amounts }) => sum(amounts)), report.storage],
    },
  });
}

const REASON_NAMES: Readonly<Record<EvictionReason, string>> = {
  rent: 'saved less than its rent',
  budget: 'over the budget',
  duplicate: 'duplicate of another entry',
  obsolete: 'of another model',
  'latent-missing': 'latent missing',
};

export function evictionsSection({ tenant }: Report, periods: readonly Period[]): string {
  const title = 'Evictions by reason';
  const count = (period: Period, reason: EvictionReason): number =>
    period.evictions.get(reason) ?? 0;
  const sum = (reason: EvictionReason): number =>
    periods.reduce((total, period) => total + count(period, reason), 0);
  const reasons = EVICTION_REASONS.filter((reason) => sum(reason) > 0);
  if (tenant !== null) {
    return emptySection(
      title,
      'Evictions concern the whole cache and are not in the report of a tenant.',
    );
  }
  if (reasons.length === 0) return emptySection(title, 'No entries were evicted on these days.');
  const stacks = reasons.map((reason) => ({
    name: REASON_NAMES[reason],
    color: COLORS[EVICTION_REASONS.indexOf(reason)]!,
    values: periods.map((period) => count(period, reason)),
  }));
  const total = reasons.reduce((all, reason) => all + sum(reason), 0);
  return chartSection(
    title,
    `${total} entries were evicted. Their videos remain; later videos can no longer reuse them.`,
    {
      chart: stackedChart(
        `Evicted entries per ${unitOf(periods)}, stacked by reason`,
        periods,
        stacks,
        {
          name: 'entries',
          label: String,
          isWhole: true,
        },
      ),
      legend: stacks,
      table: {
        caption: `Evicted entries per ${unitOf(periods)}`,
        head: [unitOf(periods), ...stacks.map(({ name }) => name)],
        rows: periods
          .filter(({ evictions }) => evictions.size > 0)
          .map((period) => [
            period.name,
            ...reasons.map((reason) => String(count(period, reason))),
          ]),
        foot: ['all', ...reasons.map((reason) => String(sum(reason)))],
      },
    },
  );
}

function stackedChart(
  describe: string,
  periods: readonly Period[],
  stacks: readonly Stack[],
  unit?: { name: string; label: (value: number) => string; isWhole: boolean },
): string {
  const most = Math.max(
    0,
    ...periods.map((_, index) => stacks.reduce((sum, { values }) => sum + values[index]!, 0)),
  );
  const { name, label, isWhole } = unit ?? {
    name: 'US dollars',
    label: axisDollars(most),
    isWhole: false,
  };
  return drawChart(describe, (): ChartOption => ({
    grid: VERTICAL,
    xAxis: namesAxis(labelsOf(periods)),
    yAxis: amountsAxis(name, label, { isWhole }),
    series: stacks.map((stack) => ({
      type: 'bar' as const,
      name: stack.name,
      stack: 'all',
      data: stack.values,
      itemStyle: { color: stack.color },
      barMaxWidth: 48,
      silent: true,
    })),
  }));
}

/** Returns `day` or `month`. */
function unitOf([first]: readonly Period[]): string {
  return first === undefined || first.name.length > '2026-11'.length ? 'day' : 'month';
}

/** Returns labels, without the year if all periods are in the same year. */
function labelsOf(periods: readonly Period[]): string[] {
  const years = new Set(periods.map(({ name }) => name.slice(0, '2026'.length)));
  return periods.map(({ name }) =>
    years.size === 1 && name.length > '2026-11'.length ? name.slice('2026-'.length) : name,
  );
}
