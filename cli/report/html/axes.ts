import { INK, LINE, SOFT, type ChartOption, type ChartSize } from './draw-chart.ts';

/** Returns a category axis: periods, ranges, kinds. Overlapping labels are hidden. */
export function namesAxis(
  names: readonly string[],
  name?: string,
): NonNullable<ChartOption['xAxis']> {
  return {
    type: 'category',
    data: [...names],
    ...(name !== undefined && { name, nameLocation: 'middle', nameGap: 30 }),
    nameTextStyle: { color: SOFT },
    axisTick: { show: false },
    axisLine: { lineStyle: { color: LINE } },
    axisLabel: { color: SOFT, hideOverlap: true, fontSize: 12 },
  };
}

/** Returns a value axis with its unit. */
export function amountsAxis(
  name: string,
  label: (value: number) => string,
  { isWhole = false } = {},
): NonNullable<ChartOption['yAxis']> {
  return {
    type: 'value',
    name,
    nameTextStyle: { color: SOFT, align: 'left' },
    nameGap: 10,
    splitNumber: 4,
    ...(isWhole && { minInterval: 1 }),
    splitLine: { lineStyle: { color: LINE } },
    axisLabel: { color: SOFT, formatter: label, fontSize: 12 },
  };
}

/** Returns a category axis for horizontal bars, from top to bottom. */
export function rowsAxis(
  names: readonly string[],
  { isNarrow }: ChartSize,
): NonNullable<ChartOption['yAxis']> {
  return {
    type: 'category',
    data: [...names],
    inverse: true,
    axisTick: { show: false },
    axisLine: { show: false },
    axisLabel: { color: INK, fontSize: 12, width: isNarrow ? 96 : 170, overflow: 'truncate' },
  };
}

/** Returns a value axis for horizontal bars. */
export function horizontalAmountsAxis(
  label: (value: number) => string,
  { isWhole = false } = {},
): NonNullable<ChartOption['xAxis']> {
  return {
    type: 'value',
    splitNumber: 3,
    ...(isWhole && { minInterval: 1 }),
    splitLine: { lineStyle: { color: LINE } },
    axisLabel: { color: SOFT, formatter: label, fontSize: 12, hideOverlap: true },
  };
}

/** Margins of a chart, which include the labels. */
export const VERTICAL = {
  left: 6,
  right: 10,
  top: 26,
  bottom: 4,
  outerBoundsMode: 'same',
  outerBounds: { left: 6, right: 10, top: 4, bottom: 4 },
} as const;

/** As `VERTICAL`, with a name below the axis. */
export const VERTICAL_LABELED = {
  ...VERTICAL,
  bottom: 20,
  outerBounds: { ...VERTICAL.outerBounds, bottom: 8 },
} as const;

/** With more room for names, because some fonts are wider than estimated. */
export const HORIZONTAL = {
  left: 24,
  right: 20,
  top: 4,
  bottom: 4,
  outerBoundsMode: 'same',
  outerBounds: { left: 24, right: 20, top: 4, bottom: 4 },
} as const;
