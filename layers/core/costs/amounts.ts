/** What a video, or a group of videos, cost. Pico-dollars. */
export interface Amounts {
  /** Seconds of machines, useful and wasted. */
  gpu: bigint;
  /** Everything else that is billed by use: functions, table, objects, vectors, queues. */
  requests: bigint;
  /** Marginal: `gpu + requests`, useful or not. Budgets are charged with it. */
  total: bigint;
  /** The part of `total` that was wasted: repeated runs, failed attempts, interrupted machines. */
  wasted: bigint;
  /** Machines that waited for these videos without work; not in `total`. */
  idle: bigint;
  /** Machines that started for these videos; not in `total`. */
  coldStart: bigint;
  /** `total + idle + coldStart`. */
  loaded: bigint;
  /** What the same videos would have cost without reuse; `total` when that is not known. */
  full: bigint;
  /** `full - total`: the GPU seconds of the evaluations that reuse skipped. Never negative. */
  saved: bigint;
}

/** In the order in which reports have them. */
export const AMOUNT_NAMES = [
  'gpu',
  'requests',
  'total',
  'wasted',
  'idle',
  'coldStart',
  'loaded',
  'full',
  'saved',
] as const satisfies readonly (keyof Amounts)[];

/** The amounts alone, each changed. */
export function mapAmounts<Value>(
  amounts: Amounts,
  change: (amount: bigint) => Value,
): Record<keyof Amounts, Value> {
  const entries = AMOUNT_NAMES.map((name) => [name, change(amounts[name])] as const);
  return Object.fromEntries(entries) as Record<keyof Amounts, Value>;
}

/** The amounts of something that has more to it. */
export function amountsOf(source: Amounts): Amounts {
  return mapAmounts(source, (amount) => amount);
}
