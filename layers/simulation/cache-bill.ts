import { dollarRates, type DollarRates } from '#core/costs/charges.ts';
import { SECONDS_PER_MONTH } from '#core/retention/estimate-value.ts';
import { lastUseOf } from '#core/retention/reuse-stats.ts';
import { entryRentUsd, type EntryHolding } from '#core/costs/entry-rent.ts';
import { retrievalUsd } from '#core/costs/storage-cost.ts';
import { BYTES_PER_GB } from '#core/costs/storage-tier.ts';
import { costOfUsage } from '#core/costs/usage-cost.ts';
import type { SimulatedEntry } from './simulated-entry.ts';
import type { FastTier, SimulationOptions } from './types.ts';

const MILLISECONDS_PER_MONTH = SECONDS_PER_MONTH * 1000;
const DAY = 24 * 3_600_000;

/** Days after a read at which the rent of a latent may change; see `tierOf`. */
const TIER_CHANGES = [30 * DAY, 90 * DAY];

/** Cost of a simulated cache, in dollars by purpose. */
export class CacheBill {
  gpu = 0;
  storage = 0;
  requests = 0;
  readonly #options: SimulationOptions;
  readonly #rates: DollarRates;
  readonly #storing = new Map<number, number>();

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#rates = dollarRates(options.book);
  }

  /** Adds network evaluations. */
  evaluations(count: number): void {
    this.#gpuSeconds(count * this.#options.secondsPerEvaluation);
  }

  /** Adds a read of a latent from object storage, with the worker's wait. */
  fetch(entry: SimulatedEntry, now: number): void {
    const { seconds, bytesPerSecond } = this.#options.fetch;
    this.#gpuSeconds(seconds + entry.latentBytes / bytesPerSecond);
    const { latentBytes: bytes, storageClass } = entry;
    const object = { bytes, storageClass, lastReadAt: lastUseOf(entry) };
    this.requests += retrievalUsd(object, now, this.#rates);
  }

  /** Adds the writes of a new entry: latent, record and vectors. */
  store(parts: number): void {
    let dollars = this.#storing.get(parts);
    if (dollars === undefined) {
      dollars = costOfStoring(parts, this.#options);
      this.#storing.set(parts, dollars);
    }
    this.requests += dollars;
  }

  /** Adds a query, which reads all vectors of the index. */
  scan(vectorBytes: number, vectors: number): void {
    const holding: EntryHolding = {
      latentBytes: 0,
      storageClass: 'STANDARD',
      lastReadAt: 0,
      vectorBytes,
      itemBytes: 0,
      queriesPerMonth: 1,
      vectorsInIndex: vectors,
    };
    this.requests += entryRentUsd(holding, 0, this.#rates).scan;
  }

  /**
   * Adds the rent of an entry since the last payment. Call it before a hit changes its last read.
   */
  rent(entry: SimulatedEntry, now: number): void {
    const { latentBytes, storageClass, vectorBytes, itemBytes } = entry;
    const lastReadAt = lastUseOf(entry);
    const changes = TIER_CHANGES.map((wait) => lastReadAt + wait);
    let from = entry.paidUntil;
    for (const until of [...changes.filter((time) => time > from && time < now), now]) {
      const { total } = entryRentUsd(
        {
          latentBytes,
          storageClass,
          lastReadAt,
          vectorBytes,
          itemBytes,
          queriesPerMonth: 0,
        },
        from,
        this.#rates,
      );
      this.storage += (total * (until - from)) / MILLISECONDS_PER_MONTH;
      from = until;
    }
    entry.paidUntil = now;
  }

  /** Adds the rent of a fast tier, charged by size regardless of content. */
  fastTier({ bytes, dollarsPerGbMonth }: FastTier, milliseconds: number): void {
    const rent = (bytes / BYTES_PER_GB) * dollarsPerGbMonth;
    this.storage += (rent * milliseconds) / MILLISECONDS_PER_MONTH;
  }

  #gpuSeconds(seconds: number): void {
    this.gpu += seconds * this.#options.dollarsPerGpuSecond;
  }
}

/** Write units of an entry with its index entries. */
const ENTRY_WRITE_UNITS = 5;

/** Computes the dollars of storing an entry, with the prices of reports. */
export function costOfStoring(parts: number, { book }: Pick<SimulationOptions, 'book'>): number {
  const usage = {
    step: 'commit',
    objectPuts: 1,
    vectorPuts: parts,
    tableWriteUnits: ENTRY_WRITE_UNITS,
  } as const;
  return Number(costOfUsage([usage], book).total) / 1e12;
}
