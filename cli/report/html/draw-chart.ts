import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { init, use, type ComposeOption } from 'echarts/core';
import type { BarSeriesOption, LineSeriesOption } from 'echarts/charts';
import type { GridComponentOption } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import { escapeHtml } from './escape-html.ts';

export type ChartOption = ComposeOption<BarSeriesOption | LineSeriesOption | GridComponentOption>;

/** How much room a chart has. Its text is as large on a telephone: it is drawn again, not shrunk. */
export interface ChartSize {
  width: number;
  height: number;
  isNarrow: boolean;
}

const SIZES: readonly ChartSize[] = [
  { width: 760, height: 300, isNarrow: false },
  { width: 330, height: 260, isNarrow: true },
];

/** Of text and lines: the page's style gives them their colours, by day and by night. */
export const INK = 'var(--ink)';
export const SOFT = 'var(--soft)';
export const LINE = 'var(--line)';

/** What a chart that is clicked on would need. */
const OF_NO_USE = / ecmeta_\w+="[^"]*"| class="zr[^"]*"|<style ?>[^]*?<\/style>/g;

use([BarChart, LineChart, GridComponent, SVGRenderer]);

/**
 * A chart as inline SVG, drawn for wide and for narrow screens; the style sheet shows one of them.
 *
 * @param describe what it shows, for those who do not see it
 * @param rows how many bars lie on top of each other, where they lie; the chart is as high as they need
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
