const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
const MAX_DIGITS = 15;

/** Formats an estimate in dollars with three significant digits, without exponents: rents are tiny. */
export function dollars(amount: number): string {
  if (amount === 0) return '$0';
  if (!Number.isFinite(amount)) return 'unlimited';
  const digits = Math.max(2, 2 - Math.floor(Math.log10(Math.abs(amount))));
  return `$${amount.toFixed(Math.min(digits, MAX_DIGITS))}`;
}

/** `12.3 MiB` */
export function size(bytes: number): string {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const amount = bytes / 1024 ** step;
  return `${step === 0 ? amount : amount.toFixed(1)} ${UNITS[step]}`;
}

/** `3 minutes`, `2.5 hours`, `40 days` */
export function duration(seconds: number): string {
  for (const [unit, length] of [
    ['years', 365 * 24 * 3600],
    ['days', 24 * 3600],
    ['hours', 3600],
    ['minutes', 60],
  ] as const) {
    if (seconds >= 2 * length) return `${rounded(seconds / length)} ${unit}`;
  }
  return `${rounded(seconds)} seconds`;
}

/** Rounds to three significant digits, without trailing zeros. */
export function rounded(value: number): string {
  if (!Number.isFinite(value)) return 'unlimited';
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

const LABEL_CHARACTERS = 12;

/** Formats a line with its label in a column. */
export function line(label: string, text: string): string {
  return `${label.padEnd(LABEL_CHARACTERS)}  ${text}`;
}
