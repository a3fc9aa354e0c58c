/** Cost of a video or a group of videos, in pico-dollars. */
export interface Amounts {
  /** Machine seconds, useful and wasted. */
  gpu: bigint;
  /** All other usage: functions, table, objects, vectors, queues. */
  requests: bigint;
  /** Marginal cost: `gpu + requests`, useful or not. Charged to budgets. */
  total: bigint;
  /** The part of `total` that was wasted: repeated runs, failed attempts, interrupted machines. */
  wasted: bigint;
  /** Machines that waited for these videos; not in `total`. */
  idle: bigint;
  /** Machines that started for these videos; not in `total`. */
  coldStart: bigint;
  /** `total + idle + coldStart`. */
  loaded: bigint;
  /** Cost of the same videos without reuse; `total` if unknown. */
  full: bigint;
  /** `full - total`: the GPU seconds of the evaluations that reuse skipped. Never negative. */
  saved: bigint;
}

/** In the order of reports. */
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

/** Maps each amount and drops other fields. */
export function mapAmounts<Value>(
  amounts: Amounts,
  change: (amount: bigint) => Value,
): Record<keyof Amounts, Value> {
  const entries = AMOUNT_NAMES.map((name) => [name, change(amounts[name])] as const);
  return Object.fromEntries(entries) as Record<keyof Amounts, Value>;
}

/** Returns the amounts of an object without its other fields. */
export function amountsOf(source: Amounts): Amounts {
  return mapAmounts(source, (amount) => amount);
}
