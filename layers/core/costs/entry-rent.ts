import { approximateAmount, exactAmount, type DollarRates } from './charges.ts';
import { InvalidInputError } from '../errors.ts';
import type { PriceBook, PriceId } from '../pricing/prices.ts';
import { BYTES_PER_TB, SCAN_TIERS } from './scan-tiers.ts';
import type { StorageClass } from './storage-class.ts';
import {
  billedBytes,
  BYTES_PER_GB,
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
  /** Queries of the entry's index, each of which reads the whole index. */
  queriesPerMonth: number;
  /** Vectors in the index; large indexes have a lower price per byte. Default: 0. */
  vectorsInIndex?: number;
}

/** Monthly rent by item; pico-dollars as bigint, or dollars as number. */
export interface EntryRent<Amount = bigint> {
  /** Includes monitoring. */
  latent: Amount;
  vectors: Amount;
  /** Share of the data that every query reads. */
  scan: Amount;
  /** Includes the backup. */
  item: Amount;
  total: Amount;
}

/** Computes the monthly rent of an entry, without its video, which remains after eviction. */
export function entryRent(entry: EntryHolding, now: number, book: PriceBook): EntryRent {
  const rent = { latent: 0n, vectors: 0n, scan: 0n, item: 0n, total: 0n };
  chargeEntry(entry, now, (part, priceId, count, per, times) => {
    const amount = exactAmount({ priceId, count, per, times }, book);
    rent[part] += amount;
    rent.total += amount;
  });
  return rent;
}

/** Like `entryRent`, in dollars: for passes over millions of entries. */
export function entryRentUsd(
  entry: EntryHolding,
  now: number,
  rates: DollarRates,
): EntryRent<number> {
  const rent = { latent: 0, vectors: 0, scan: 0, item: 0, total: 0 };
  chargeEntry(entry, now, (part, priceId, count, per, times) => {
    const amount = approximateAmount(priceId, (count * times) / per, rates);
    rent[part] += amount;
    rent.total += amount;
  });
  return rent;
}

/** Size of a vector's key and filterable metadata: names, two digests, a tenant. */
const VECTOR_BYTES_BESIDE_ELEMENTS = 192;

/** Size of an entry's record without vectors, including its index items, as DynamoDB counts them. */
const ITEM_BYTES_BESIDE_VECTORS = 2560;

const BYTES_PER_ELEMENT = 4;

/**
 * Returns the bytes of an entry in the vector index and in the table.
 *
 * @param dimensions of the embedding @param parts number of vectors, 1 to 3
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

type AddCharge = (
  part: 'latent' | 'vectors' | 'scan' | 'item',
  priceId: PriceId,
  count: number,
  per: number,
  times: number,
) => void;

/** Passes the charges of an entry to a callback, without allocation. */
function chargeEntry(entry: EntryHolding, now: number, add: AddCharge): void {
  const { latentBytes: bytes, storageClass, vectorBytes, itemBytes, vectorsInIndex = 0 } = entry;
  const object: StoredObject = { bytes, storageClass, lastReadAt: entry.lastReadAt };
  refuseImpossible(object, now);
  const billed = billedBytes(bytes, storageClass);
  add('latent', `s3.storage.${tierOf(object, now)}`, billed, BYTES_PER_GB, 1);
  if (isMonitored(object)) add('latent', 's3.monitored-object', 1, 1, 1);
  add('vectors', 's3vectors.storage', vectorBytes, BYTES_PER_GB, 1);
  const tier = SCAN_TIERS.find(({ upTo }) => vectorsInIndex >= 0 && vectorsInIndex <= upTo);
  if (tier === undefined) {
    throw new InvalidInputError(
      'vectorsInIndex',
      `vectorsInIndex of an entry is ${vectorsInIndex}`,
      'give the number of vectors in the index',
    );
  }
  add('scan', tier.priceId, entry.queriesPerMonth, BYTES_PER_TB, vectorBytes);
  add('item', 'dynamodb.storage', itemBytes, BYTES_PER_GB, 1);
  add('item', 'dynamodb.point-in-time-recovery', itemBytes, BYTES_PER_GB, 1);
}
