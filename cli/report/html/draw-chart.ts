import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { init, use, type ComposeOption } from 'echarts/core';
import type { BarSeriesOption, LineSeriesOption } from 'echarts/charts';
import type { GridComponentOption } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import { escapeHtml } from './escape-html.ts';

export type ChartOption = ComposeOption<BarSeriesOption | LineSeriesOption | GridComponentOption>;

/** Size of a chart. Narrow screens get a separate drawing, so that text keeps its size. */
export interface ChartSize {
  width: number;
  height: number;
  isNarrow: boolean;
}

const SIZES: readonly ChartSize[] = [
  { width: 760, height: 300, isNarrow: false },
  { width: 330, height: 260, isNarrow: true },
];

/** Colors of text and lines, defined by the page's style in light and dark mode. */
export const INK = 'var(--ink)';
export const SOFT = 'var(--soft)';
export const LINE = 'var(--line)';

/** Attributes for interaction, which a static chart does not need. */
const OF_NO_USE = / ecmeta_\w+="[^"]*"| class="zr[^"]*"|<style ?>[^]*?<\/style>/g;

use([BarChart, LineChart, GridComponent, SVGRenderer]);

/**
 * Draws a chart as inline SVG, for wide and for narrow screens; the style sheet shows one of them.
 *
 * @param describe text for screen readers
 * @param rows number of horizontal bars, which sets the height of the chart
 */
export function drawChart(
  describe: string,
  optionFor: (size: ChartSize) => ChartOption,
  rows?: number,
): string {
  return SIZES.map(({ height, ...size }) => {
    const fitting = { ...size, height: rows === undefined ? height : 46 + 30 * rows };
    const svg = render(optionFor(fitting), fitting);
    return svg
      .replaceAll(OF_NO_USE, '')
      .replace(
        /^<svg [^>]*>/,
        `<svg class="chart ${size.isNarrow ? 'narrow' : 'wide'}" role="img" aria-label="${escapeHtml(describe)}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${fitting.width} ${fitting.height}">`,
      );
  }).join('');
}

function render(option: ChartOption, { width, height }: ChartSize): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({
      animation: false,
      textStyle: { color: INK, fontFamily: 'inherit' },
      ...option,
    });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
