import type { CalibrationFileInput } from '#core/planning/calibration-file.ts';

/** Digits of measured numbers: more than intervals bear. */
const SIGNIFICANT_DIGITS = 6;

/** A calibration as its file has it: one plan or cell a line, so that two files can be compared by lines. */
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
