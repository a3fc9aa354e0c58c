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
  const rent = { latent: 0n, vectors: 0n, scan: 0n, item: 0n, total: 0n };
  chargeEntry(entry, now, (part, priceId, count, per, times) => {
    const amount = exactAmount({ priceId, count, per, times }, book);
    rent[part] += amount;
    rent.total += amount;
  });
  return rent;
}

/** As `entryRent`, in dollars: for passes over millions of entries. */
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

type AddCharge = (
  part: 'latent' | 'vectors' | 'scan' | 'item',
  priceId: PriceId,
  count: number,
  per: number,
  times: number,
) => void;

/** Hands out what an entry is charged with, one by one: nothing is allocated for it. */
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
