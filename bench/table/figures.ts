import { LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { init, use, type ComposeOption } from 'echarts/core';
import type { LineSeriesOption, ScatterSeriesOption } from 'echarts/charts';
import type {
  GridComponentOption,
  LegendComponentOption,
  TitleComponentOption,
} from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import { embedTrace } from '#cli/simulate/embed-trace.ts';
import { parseCapacities } from '#cli/simulate/parse-lists.ts';
import { promptThresholds } from '#cli/simulate/prompt-thresholds.ts';
import { openPackageVectors } from '#cli/simulate/prompt-vectors.ts';
import { countDistinct, runSimulation } from '#cli/simulate/run-simulation.ts';
import { parseVideoProfile } from '#cli/simulate/video-profile.ts';
import { generateTrace } from '#simulation/traces/generate-trace.ts';
import { SYNTHETIC_DEFAULTS } from '#simulation/traces/synthetic-parameters.ts';
import type { TableRow } from './report.ts';
import type { RowResult } from './result.ts';

use([LineChart, ScatterChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

type Option = ComposeOption<
  | LineSeriesOption
  | ScatterSeriesOption
  | GridComponentOption
  | LegendComponentOption
  | TitleComponentOption
>;

const WIDTH = 860;
const HEIGHT = 460;

/** Evaluations against quality: a point for each row. */
export function qualityCurve(rows: readonly TableRow[]): string {
  const kinds = Map.groupBy(
    rows.filter(({ loss, result }) => loss !== null && !result.row.isOnlyMeasured),
    ({ result }) => result.row.kind,
  );
  return render({
    title: { text: 'Compute and quality beside full generations of N=50' },
    legend: { top: 46 },
    grid: { top: 100, left: 70, right: 150, bottom: 60 },
    xAxis: axis('evaluations a request (equivalents of full ones)'),
    yAxis: axis('loss of adherence, %'),
    series: [...kinds].map(([name, points]) => ({
      type: 'scatter',
      name: name === 'ours' ? 'FlexCache' : name,
      symbolSize: name === 'ours' ? 13 : 9,
      data: points.map(({ result, loss }) => ({
        name: result.row.id,
        value: [result.equivalents.mean, 100 * loss!.adherence.mean],
      })),
      label: { show: true, position: 'right', formatter: '{b}', fontSize: 9 },
      labelLayout: { hideOverlap: true },
    })),
  });
}

/** Evaluations against what a cache holds: a point for each row that has one. */
export function bytesCurve(rows: readonly TableRow[]): string {
  const kinds = Map.groupBy(
    rows.filter(({ result }) => result.holdings.bytes > 0),
    ({ result }) => result.row.kind,
  );
  return render({
    title: { text: 'Compute and bytes held' },
    legend: { top: 46 },
    grid: { top: 100, left: 70, right: 170, bottom: 60 },
    xAxis: axis('evaluations a request (equivalents of full ones)'),
    yAxis: { ...axis('megabytes at the end'), type: 'log' },
    series: [...kinds].map(([name, points]) => ({
      type: 'scatter',
      name: name === 'ours' ? 'FlexCache' : name,
      symbolSize: name === 'ours' ? 13 : 9,
      data: points.map(({ result }) => ({
        name: result.row.id,
        value: [result.equivalents.mean, result.holdings.bytes / 1e6],
      })),
      label: { show: true, position: 'right', formatter: '{b}', fontSize: 9 },
      labelLayout: { hideOverlap: true },
    })),
  });
}

/** Requests of one point of the curve of hits. */
const WINDOW = 100;
const SHOWN_OVER_TIME: readonly string[] = [
  'ours',
  'ours-without-decoupling',
  'ours-shuffled',
  'nirvana-refitted-all',
  'nirvana-published-misses',
  'flexcache-like',
  'modm-like',
  'vllm-omni-like',
];

/** Share of requests with a hit, exact repeats apart, from a cold start. */
export function hitsCurve(results: readonly RowResult[]): string {
  return render({
    title: { text: `Hits over time from cold, by ${WINDOW} requests` },
    legend: { top: 46 },
    grid: { top: 100, left: 60, right: 30, bottom: 60 },
    xAxis: axis('requests'),
    yAxis: { ...axis('share of requests with a hit'), min: 0, max: 1 },
    series: results
      .filter(({ row }) => SHOWN_OVER_TIME.includes(row.id))
      .map(({ row, requests: { hits } }) => {
        const window = Math.min(WINDOW, Math.max(1, Math.floor(hits.length / 5)));
        const points: [number, number][] = [];
        for (let start = 0; start + window <= hits.length; start += window) {
          const made = Array.from(hits.slice(start, start + window)).filter((hit) => hit !== 'e');
          const share = made.filter((hit) => hit !== 'm').length / Math.max(1, made.length);
          points.push([start + window, Number(share.toFixed(4))]);
        }
        return { type: 'line', name: row.id, data: points, showSymbol: false };
      }),
  });
}

const CAPACITIES = ['0.5%', '1%', '2%', '5%', '10%', '20%', '50%'];
const POLICIES = ['rent', 'gdsf', 'lcbfu', 'lfu', 'lru', 'fifo'] as const;

/** Dollars of the trace against the size of the cache, by replacement policy; simulated, no video is made. */
export async function costCurve(question: {
  requests: number;
  seed: number;
  model: string;
}): Promise<string> {
  const { requests, seed, model } = question;
  const embedder = await openPackageVectors(model, (loaded) => promptThresholds(loaded, undefined));
  try {
    const trace = await embedTrace(
      generateTrace({ ...SYNTHETIC_DEFAULTS, requests, seed }),
      embedder,
      { file: null, onProgress: () => {}, isInterrupted: () => false },
    );
    const distinct = countDistinct(trace!);
    const profile = parseVideoProfile('480p-1.3b');
    const capacities = parseCapacities(CAPACITIES.join(','), distinct);
    const { results } = await runSimulation(trace!, embedder, {
      policies: [...POLICIES, 'none', 'all'],
      capacities,
      tiers: ['object'],
      fastTierBytes: profile.latentBytes,
      profile,
      region: 'us-east-1',
      measured: new Map(),
      scope: 'shared',
      storageClass: 'INTELLIGENT_TIERING',
      seed,
      isShuffled: false,
    });
    const dollars = (policy: string, capacity?: string): number =>
      results.find(
        (row) => row.policy === policy && (capacity === undefined || row.capacity === capacity),
      )!.result.dollars.total;
    const shares = capacities.map(({ name }) => Number.parseFloat(name));
    return render({
      title: {
        text: 'Cost against cache size',
        subtext: `${requests.toLocaleString('en')} requests, profile ${profile.name}, simulated; no cache $${dollars('none').toFixed(2)}`,
      },
      legend: { top: 68 },
      grid: { top: 110, left: 70, right: 30, bottom: 60 },
      xAxis: { ...axis('entries, % of the distinct requests'), type: 'log' },
      yAxis: { ...axis('dollars'), scale: true },
      series: [
        ...POLICIES.map((policy) => ({
          type: 'line' as const,
          name: policy,
          data: shares.map((share, index) => [share, dollars(policy, capacities[index]!.name)]),
        })),
        {
          type: 'line' as const,
          name: 'keep all',
          data: shares.map((share) => [share, dollars('all')]),
          showSymbol: false,
          lineStyle: { type: 'dashed' as const },
        },
      ],
    });
  } finally {
    await embedder.close();
  }
}

function axis(name: string): {
  type: 'value';
  name: string;
  nameLocation: 'middle';
  nameGap: number;
} {
  return { type: 'value', name, nameLocation: 'middle', nameGap: 40 };
}

function render(option: Option): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  try {
    chart.setOption({ animation: false, backgroundColor: '#fff', ...option });
    return `${chart.renderToSVGString()}\n`;
  } finally {
    chart.dispose();
  }
}
