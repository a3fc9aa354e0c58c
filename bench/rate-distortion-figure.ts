import { LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { RatePoint } from './rate-distortion.ts';

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const WIDTH = 860;
const HEIGHT = 460;
const COLORS = ['#0b6b9b', '#c4541a', '#2e7d32', '#7b3fa0', '#8a6d00'];

/**
 * Bits a value against the distance of the final latents to those from the unquantised donor, a line for
 * each start time; dashed: how far another seed alone takes them.
 */
export function rateDistortionCurve(points: readonly RatePoint[]): string {
  const times = [...new Set(points.map(({ startTime }) => startTime))];
  const stored = points.filter(({ stored: { kind } }) => kind === 'noise');
  const bits = stored.map(({ bitsPerValue }) => bitsPerValue);
  const [least, most] = [Math.min(...bits), Math.max(...bits)];
  const series = times.flatMap((time, index) => {
    const ofTime = points.filter(({ startTime }) => startTime === time);
    const chance = ofTime.find(({ stored: { kind } }) => kind === 'another seed')!.latentDistance;
    const color = COLORS[index % COLORS.length]!;
    return [
      {
        type: 'line' as const,
        name: `t0 ${time}`,
        color,
        data: stored
          .filter(({ startTime }) => startTime === time)
          .map(({ bitsPerValue, latentDistance }) => [
            Number(bitsPerValue.toFixed(4)),
            Number(latentDistance.mean.toFixed(5)),
          ])
          .toSorted(([one], [other]) => one! - other!),
      },
      {
        type: 'line' as const,
        name: `t0 ${time}, another seed`,
        color,
        showSymbol: false,
        lineStyle: { type: 'dashed' as const, width: 1 },
        data: [least, most].map((at) => [at, Number(chance.mean.toFixed(5))]),
      },
    ];
  });
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#fff',
      title: { text: 'Rate and distortion of the final video' },
      legend: { top: 42, data: times.map((time) => `t0 ${time}`) },
      grid: { top: 80, left: 70, right: 30, bottom: 60 },
      xAxis: {
        type: 'log',
        name: 'bits a value of the donor that is read',
        nameLocation: 'middle',
        nameGap: 35,
      },
      yAxis: {
        type: 'log',
        name: 'RMS difference of the final latents (dashed: another seed)',
        nameLocation: 'middle',
        nameGap: 50,
      },
      series,
    });
    return `${chart.renderToSVGString()}\n`;
  } finally {
    chart.dispose();
  }
}
