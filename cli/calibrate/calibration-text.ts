import type { CalibrationFileInput } from '#core/planning/calibration-file.ts';

/** Significant digits of measured numbers: more than the intervals justify. */
const SIGNIFICANT_DIGITS = 6;

/** Formats a calibration file with one plan or cell per line, so that line diffs work. */
export function calibrationText(file: CalibrationFileInput): string {
  const fields = Object.entries(file).map(([name, value]) => {
    const text = Array.isArray(value)
      ? `[\n${value.map((item) => `    ${compact(item)}`).join(',\n')}\n  ]`
      : compact(value);
    return `  ${JSON.stringify(name)}: ${text}`;
  });
  return `{\n${fields.join(',\n')}\n}\n`;
}

function compact(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'number' && !Number.isInteger(each)
      ? Number(each.toPrecision(SIGNIFICANT_DIGITS))
      : each,
  );
}
