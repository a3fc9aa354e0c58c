import { AsyncLocalStorage } from 'node:async_hooks';
import type { UsageRecord } from '#core/generation.ts';

/** What stores measure of their own requests. */
export type StoreUsage = Pick<
  UsageRecord,
  | 'tableReadUnits'
  | 'tableWriteUnits'
  | 'objectPuts'
  | 'objectGets'
  | 'objectBytesWritten'
  | 'objectBytesRead'
  | 'infrequentAccessGets'
  | 'infrequentAccessBytes'
  | 'instantRetrievalGets'
  | 'instantRetrievalBytes'
  | 'vectorQueries'
  | 'vectorBytesScanned'
  | 'vectorsScanned'
  | 'vectorPuts'
  | 'vectorBytesPut'
  | 'queueRequests'
  | 'unmeasuredRequests'
>;

const meters = new AsyncLocalStorage<UsageMeter>();

/**
 * Counts what the stores are asked for by one piece of work, and by all that it starts. Stores find
 * the meter by themselves; what is done outside any meter belongs to no video and is not counted.
 *
 * Counted is what is billed: units as the table returns them, and requests that a service answered.
 * Those that it answered with a fault of its own, and those the SDK sent again because of it, cost
 * nothing. Requests to Step Functions are free: its transitions are what it charges.
 *
 * @example
 * const meter = new UsageMeter();
 * await meter.run(() => table.getJob(videoId));
 * meter.usage; // { tableReadUnits: 1 }
 */
export class UsageMeter {
  readonly #usage: StoreUsage = {};

  /** What was counted so far. */
  get usage(): StoreUsage {
    return { ...this.#usage };
  }

  /** Runs work whose requests count here, and nowhere else. */
  run<Output>(work: () => Output): Output {
    return meters.run(this, work);
  }

  add(usage: StoreUsage): void {
    for (const [field, amount] of Object.entries(usage) as [keyof StoreUsage, number][]) {
      this.#usage[field] = (this.#usage[field] ?? 0) + amount;
    }
  }
}

/** Adds what a request has used to the meter of whoever asked for it. */
export function meterUse(usage: StoreUsage): void {
  meters.getStore()?.add(usage);
}
