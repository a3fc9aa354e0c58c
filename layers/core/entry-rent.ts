import {
  approximate,
  charge,
  exact,
  storageCharge,
  type Charge,
  type DollarRates,
} from './charges.ts';
import type { PriceBook } from './prices.ts';
import { BYTES_PER_TB, SCAN_TIERS } from './scan-tiers.ts';
import type { StorageClass } from './storage-class.ts';
import {
  billedBytes,
  isMonitored,
  refuseImpossible,
  tierOf,
  type StoredObject,
} from './storage-tier.ts';

export interface EntryHolding {
  latentBytes: number;
  storageClass: StorageClass;
  /** Epoch milliseconds. */
  lastReadAt: number;
  vectorBytes: number;
  itemBytes: number;
  /** Queries of the index that the entry is in: each reads all of it. */
  queriesPerMonth: number;
  /** How many vectors the index has; beyond some of them a byte is read for less. 0 unless said. */
  vectorsInIndex?: number;
}

/** A month, by what it is for; pico-dollars, or dollars where they are numbers. */
export interface EntryRent<Amount = bigint> {
  /** With its monitoring. */
  latent: Amount;
  vectors: Amount;
  /** Its share of what every query reads. */
  scan: Amount;
  /** With its backup. */
  item: Amount;
  total: Amount;
}

/** What keeping one entry costs a month. Its video is not in it: that stays when the entry goes. */
export function entryRent(entry: EntryHolding, now: number, book: PriceBook): EntryRent {
  const { latent, vectors, scan, item } = entryCharges(entry, now);
  const amounts = {
    latent: exact(latent, book),
    vectors: exact(vectors, book),
    scan: exact(scan, book),
    item: exact(item, book),
  };
  return { ...amounts, total: amounts.latent + amounts.vectors + amounts.scan + amounts.item };
}

/** As `entryRent`, in dollars: for passes over millions of entries. */
export function entryRentUsd(
  entry: EntryHolding,
  now: number,
  rates: DollarRates,
): EntryRent<number> {
  const { latent, vectors, scan, item } = entryCharges(entry, now);
  const amounts = {
    latent: approximate(latent, rates),
    vectors: approximate(vectors, rates),
    scan: approximate(scan, rates),
    item: approximate(item, rates),
  };
  return { ...amounts, total: amounts.latent + amounts.vectors + amounts.scan + amounts.item };
}

/** Key and filterable metadata of a vector: names, two digests' worth of values, a tenant. */
const VECTOR_BYTES_BESIDE_ELEMENTS = 192;

/** An entry's record without its vectors, and what its indexes keep, as DynamoDB counts them. */
const ITEM_BYTES_BESIDE_VECTORS = 2560;

const BYTES_PER_ELEMENT = 4;

/**
 * What an entry keeps in the vector index and in the table.
 *
 * @param dimensions of the embedding @param parts that it has vectors of, 1 to 3
 */
export function entryBytes(
  dimensions: number,
  parts: number,
): { vectorBytes: number; itemBytes: number } {
  const elements = dimensions * BYTES_PER_ELEMENT;
  return {
    vectorBytes: parts * (elements + VECTOR_BYTES_BESIDE_ELEMENTS),
    itemBytes: parts * elements + ITEM_BYTES_BESIDE_VECTORS,
  };
}

function entryCharges(
  entry: EntryHolding,
  now: number,
): Record<'latent' | 'vectors' | 'scan' | 'item', Charge[]> {
  const { latentBytes: bytes, storageClass, lastReadAt, vectorsInIndex = 0 } = entry;
  const object: StoredObject = { bytes, storageClass, lastReadAt };
  refuseImpossible(object, now);
  const tier = SCAN_TIERS.find(({ upTo }) => vectorsInIndex <= upTo)!;
  return {
    latent: [
      storageCharge(`s3.storage.${tierOf(object, now)}`, billedBytes(bytes, storageClass)),
      ...(isMonitored(object) ? [charge('s3.monitored-object', 1)] : []),
    ],
    vectors: [storageCharge('s3vectors.storage', entry.vectorBytes)],
    scan: [charge(tier.priceId, entry.queriesPerMonth, BYTES_PER_TB, entry.vectorBytes)],
    item: [
      storageCharge('dynamodb.storage', entry.itemBytes),
      storageCharge('dynamodb.point-in-time-recovery', entry.itemBytes),
    ],
  };
}
