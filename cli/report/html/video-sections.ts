import type { HitKind } from '#core/generation.ts';
import { PICO_USD_PER_USD } from '#core/pricing/money.ts';
import type { Group } from '#core/reports/grouping.ts';
import type { Bin } from '#core/reports/histogram.ts';
import type { Report } from '#core/reports/report.ts';
import type { VideoLine } from '#core/reports/video-line.ts';
import {
  amountsAxis,
  HORIZONTAL,
  horizontalAmountsAxis,
  namesAxis,
  rowsAxis,
  VERTICAL_LABELED,
} from './axes.ts';
import { axisDollars, dollars, percent } from './dollars.ts';
import { drawChart } from './draw-chart.ts';
import { chartSection, COLORS, emptySection, tableSection } from './sections.ts';

const HIT_CAPTIONS: Readonly<Record<HitKind, string>> = {
  miss: 'no reuse: generated in full',
  background: 'the background of an earlier video',
  object: 'the object of an earlier video',
  'object+background': 'the object of one, the background of another',
  near: 'an earlier video with different content',
  whole: 'an earlier video with nearly the same prompt',
  exact: 'the stored video itself',
};

export function histogramSection({ histogram, videos }: Report): string {
  const title = 'Cost per video';
  if (histogram.length === 0) return emptySection(title, 'No videos completed on these days.');
  const { completed } = videos.statuses;
  const names = histogram.map(nameOf);
  return chartSection(
    title,
    `Distribution of the cost of the ${completed} completed videos, without waiting and starting machines. Each bar is a range that starts where the previous one ends.`,
    {
      chart: drawChart('Number of completed videos by cost in US dollars', ({ isNarrow }) => ({
        grid: VERTICAL_LABELED,
        xAxis: namesAxis(
          names,
          isNarrow ? 'US dollars, below' : 'cost of a video in US dollars, below',
        ),
        yAxis: amountsAxis('videos', String, { isWhole: true }),
        series: [
          {
            type: 'bar',
            data: histogram.map(({ count }) => count),
            itemStyle: { color: COLORS[0]! },
            barCategoryGap: '4%',
            silent: true,
          },
        ],
      })),
      table: {
        caption: 'Completed videos by cost',
        head: ['cost', 'videos', 'share'],
        rows: histogram.map((bin) => [
          rangeOf(bin),
          String(bin.count),
          percent(BigInt(bin.count), BigInt(completed)),
        ]),
      },
    },
  );
}

export function hitsSection({ hits, videos }: Report): string {
  const title = 'Hits by kind';
  if (hits.length === 0) return emptySection(title, 'No videos requested on these days.');
  return chartSection(
    title,
    'What each video reused, ordered from least to most reuse. Videos that did not complete are listed by status.',
    {
      chart: drawChart(
        'Number of videos by kind of hit',
        (size) => ({
          grid: HORIZONTAL,
          xAxis: horizontalAmountsAxis(String, { isWhole: true }),
          yAxis: rowsAxis(
            hits.map(({ key }) => key),
            size,
          ),
          series: [
            {
              type: 'bar',
              data: hits.map(({ sums }) => sums.videos),
              itemStyle: { color: COLORS[0]! },
              barMaxWidth: 18,
              silent: true,
            },
          ],
        }),
        hits.length,
      ),
      table: {
        caption: 'Videos by kind of hit',
        head: ['hit', 'reuse', 'videos', 'share', 'cost', 'mean cost', 'saved', 'evaluations run'],
        texts: [1],
        rows: hits.map(({ key, sums }) => [
          key,
          (HIT_CAPTIONS as Record<string, string>)[key] ?? 'not completed',
          String(sums.videos),
          percent(BigInt(sums.videos), BigInt(videos.videos)),
          sums.total,
          sums.total / BigInt(sums.videos),
          sums.saved,
          sums.stepsFull === 0 ? '–' : `${sums.stepsRun} of ${sums.stepsFull}`,
        ]),
      },
    },
  );
}

const SHOWN_TENANTS = 10;

export function tenantsSection({ tenants, tenant }: Report): string {
  if (tenant !== null || tenants.length === 0) return '';
  const shown = tenants.slice(0, SHOWN_TENANTS);
  const parts: [name: string, amountOf: (group: Group) => bigint][] = [
    ['GPU, generating videos', ({ sums }) => sums.gpu],
    ['GPU, waiting or starting', ({ sums }) => sums.idle + sums.coldStart],
    ['requests', ({ sums }) => sums.requests],
  ];
  const most = Math.max(...shown.map(({ sums }) => dollars(sums.loaded)));
  const legend = parts.map(([name], index) => ({ name, color: COLORS[index]! }));
  return chartSection(
    'Top tenants',
    tenants.length > shown.length
      ? `The ${shown.length} of ${tenants.length} tenants with the highest cost.`
      : 'Tenants by cost of their videos.',
    {
      chart: drawChart(
        'Cost of videos by tenant in US dollars',
        (size) => ({
          grid: HORIZONTAL,
          xAxis: horizontalAmountsAxis(axisDollars(most)),
          yAxis: rowsAxis(
            shown.map(({ key }) => key),
            size,
          ),
          series: parts.map(([name, amountOf], index) => ({
            type: 'bar' as const,
            name,
            stack: 'all',
            data: shown.map((group) => dollars(amountOf(group))),
            itemStyle: { color: COLORS[index]! },
            barMaxWidth: 18,
            silent: true,
          })),
        }),
        shown.length,
      ),
      legend,
      table: {
        caption: 'Tenants, US dollars',
        head: [
          'tenant',
          'videos',
          'GPU',
          'waiting or starting',
          'requests',
          'all',
          'wasted',
          'saved',
        ],
        rows: shown.map((group) => [
          group.key,
          String(group.sums.videos),
          ...parts.map(([, amountOf]) => amountOf(group)),
          group.sums.loaded,
          group.sums.wasted,
          group.sums.saved,
        ]),
      },
    },
  );
}

export function topVideosSection(topVideos: readonly VideoLine[]): string {
  if (topVideos.length === 0) return '';
  return tableSection(
    'Most expensive videos',
    `The ${topVideos.length} most expensive videos, including waiting and starting machines.`,
    {
      caption: 'Most expensive videos',
      head: ['video', 'prompt', 'tenant', 'day', 'hit', 'GPU', 'wasted', 'all', 'saved'],
      texts: [1, 2, 3, 4],
      rows: topVideos.map((line) => [
        line.videoId,
        line.prompt,
        line.tenant,
        line.day,
        line.hit ?? line.status,
        line.gpu,
        line.wasted,
        line.loaded,
        line.saved,
      ]),
    },
  );
}

function nameOf({ below, from }: Bin): string {
  return below === null ? `over ${plain(from)}` : plain(below);
}

function rangeOf({ from, below }: Bin): string {
  return below === null ? `$${plain(from)} and more` : `$${plain(from)} to below $${plain(below)}`;
}

/** Formats a bound without trailing zeros: `0.0002`. */
function plain(amount: bigint): string {
  const text = `${amount / PICO_USD_PER_USD}.${(amount % PICO_USD_PER_USD).toString().padStart(12, '0')}`;
  return text.replace(/\.?0+$/, '');
}
