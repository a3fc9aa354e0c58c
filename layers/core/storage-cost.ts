import { InvalidInputError } from './errors.ts';
import { HOURS_PER_MONTH } from './idle-cost.ts';
import { approximate, charge, exact, invoiceOf, type Charge, type DollarRates } from './charges.ts';
import type { PriceBook, PriceId } from './prices.ts';
import { BYTES_PER_TB, SCAN_TIERS } from './scan-tiers.ts';
import type { Holdings } from './retention-run.ts';
import type { StorageClass, StorageTier } from './storage-class.ts';
import type { UsageCost } from './usage-cost.ts';

/** A stored latent, as its rent depends on it. Times are epoch milliseconds. */
export interface StoredObject {
  bytes: number;
  storageClass: StorageClass;
  /** When it was written or read last, whichever was later. */
  lastReadAt: number;
}

/** GB of the price lists are binary: 2^30 bytes. */
export const BYTES_PER_GB = 2 ** 30;

/** Below it Standard-IA and Glacier Instant Retrieval bill this much, and Intelligent-Tiering neither moves nor monitors. */
export const LEAST_TIERED_BYTES = 128 * 1024;

const DAY_MILLISECONDS = 24 * 3_600_000;
const MONTH_SECONDS = HOURS_PER_MONTH * 3600;

/** After how many days without a read Intelligent-Tiering bills less (S3 User Guide). */
const INFREQUENT_AFTER_DAYS = 30;
const ARCHIVE_INSTANT_AFTER_DAYS = 90;

/** Days that are billed at least, wherever an object goes (S3 User Guide, storage classes). */
const LEAST_DAYS: Readonly<Record<StorageClass, number>> = {
  STANDARD: 0,
  INTELLIGENT_TIERING: 0,
  STANDARD_IA: 30,
  GLACIER_IR: 90,
};

interface ClassPrices {
  put: PriceId;
  get: PriceId;
  /** For each GB that is read; null where reading costs its request alone. */
  retrieval: PriceId | null;
}

const CLASS_PRICES: Readonly<Record<StorageClass, ClassPrices>> = {
  STANDARD: { put: 's3.put-request', get: 's3.get-request', retrieval: null },
  INTELLIGENT_TIERING: { put: 's3.put-request', get: 's3.get-request', retrieval: null },
  STANDARD_IA: {
    put: 's3.put-request.standard-ia',
    get: 's3.get-request.standard-ia',
    retrieval: 's3.retrieval.standard-ia',
  },
  GLACIER_IR: {
    put: 's3.put-request.glacier-ir',
    get: 's3.get-request.glacier-ir',
    retrieval: 's3.retrieval.glacier-ir',
  },
};

/** What an object is billed as now. */
export function tierOf(
  { bytes, storageClass, lastReadAt }: StoredObject,
  now: number,
): StorageTier {
  switch (storageClass) {
    case 'STANDARD':
      return 'standard';
    case 'STANDARD_IA':
      return 'standard-ia';
    case 'GLACIER_IR':
      return 'glacier-ir';
    case 'INTELLIGENT_TIERING': {
      const unreadDays = (now - lastReadAt) / DAY_MILLISECONDS;
      if (bytes < LEAST_TIERED_BYTES || unreadDays < INFREQUENT_AFTER_DAYS) {
        return 'intelligent-tiering.frequent';
      }
      return unreadDays < ARCHIVE_INSTANT_AFTER_DAYS
        ? 'intelligent-tiering.infrequent'
        : 'intelligent-tiering.archive-instant';
    }
  }
}

/** Bytes that are charged for: classes for what is seldom read have a least size. */
export function billedBytes(bytes: number, storageClass: StorageClass): number {
  const hasLeastSize = storageClass === 'STANDARD_IA' || storageClass === 'GLACIER_IR';
  return hasLeastSize ? Math.max(bytes, LEAST_TIERED_BYTES) : bytes;
}

/** Whether Intelligent-Tiering charges for watching an object. */
export function isMonitored({ bytes, storageClass }: Omit<StoredObject, 'lastReadAt'>): boolean {
  return storageClass === 'INTELLIGENT_TIERING' && bytes >= LEAST_TIERED_BYTES;
}

export function emptyHoldings(): Holdings {
  return {
    entries: 0,
    latents: {},
    monitoredLatents: 0,
    videoBytes: 0,
    vectorBytes: 0,
    itemBytes: 0,
  };
}

/** Adds a latent under the tier that it is billed as; entries, videos, vectors and items are not touched. */
export function addLatent(holdings: Holdings, object: StoredObject, now: number): void {
  const held = (holdings.latents[tierOf(object, now)] ??= { count: 0, bytes: 0, billedBytes: 0 });
  held.count += 1;
  held.bytes += object.bytes;
  held.billedBytes += billedBytes(object.bytes, object.storageClass);
  if (isMonitored(object)) holdings.monitoredLatents += 1;
}

/**
 * What keeping all of it costs a month. Videos are charged as Standard, the most that their class can
 * cost; items with the table's backup.
 *
 * @throws InvalidInputError when an amount cannot be; @throws UnknownPriceError
 */
export function rentOfHoldings(holdings: Holdings, book: PriceBook): UsageCost {
  const tiers = Object.entries(holdings.latents) as [StorageTier, { billedBytes: number }][];
  const charges: Charge[] = [
    ...tiers.map(([tier, held]) => storage(`s3.storage.${tier}`, held.billedBytes)),
    charge('s3.monitored-object', holdings.monitoredLatents),
    storage('s3.storage.standard', holdings.videoBytes),
    storage('s3vectors.storage', holdings.vectorBytes),
    storage('dynamodb.storage', holdings.itemBytes),
    storage('dynamodb.point-in-time-recovery', holdings.itemBytes),
  ];
  return invoiceOf(charges, book);
}

/** One read of an object: its request, and what its class charges for each GB. */
export function retrievalCost(object: StoredObject, now: number, book: PriceBook): bigint {
  refuseImpossible(object, now);
  return exact(retrievalCharges(object), book);
}

/** As `retrievalCost`, in dollars. */
export function retrievalUsd(object: StoredObject, now: number, rates: DollarRates): number {
  refuseImpossible(object, now);
  return approximate(retrievalCharges(object), rates);
}

/** Where an object was written, epoch milliseconds: least durations count from then. */
export interface MovableObject extends StoredObject {
  storedAt: number;
}

/**
 * What it costs to put an object into another class, by a copy onto itself: reading it where it is,
 * writing it where it goes, and the rest of the duration that its present class charges at least.
 * Nothing when it is there already.
 */
export function moveCost(
  object: MovableObject,
  to: StorageClass,
  now: number,
  book: PriceBook,
): bigint {
  refuseImpossible(object, now);
  return exact(moveCharges(object, to, now), book);
}

/** As `moveCost`, in dollars. */
export function moveUsd(
  object: MovableObject,
  to: StorageClass,
  now: number,
  rates: DollarRates,
): number {
  refuseImpossible(object, now);
  return approximate(moveCharges(object, to, now), rates);
}

/** What deleting an object costs: the rest of the least duration of its class. */
export function deletionCost(object: MovableObject, now: number, book: PriceBook): bigint {
  refuseImpossible(object, now);
  return exact(earlyDeletionCharges(object, now), book);
}

/** As `deletionCost`, in dollars. */
export function deletionUsd(object: MovableObject, now: number, rates: DollarRates): number {
  refuseImpossible(object, now);
  return approximate(earlyDeletionCharges(object, now), rates);
}

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

function storage(priceId: PriceId, bytes: number): Charge {
  return charge(priceId, bytes, BYTES_PER_GB);
}

function retrievalCharges({ bytes, storageClass }: StoredObject): Charge[] {
  const { get, retrieval } = CLASS_PRICES[storageClass];
  return [charge(get, 1), ...(retrieval === null ? [] : [storage(retrieval, bytes)])];
}

function moveCharges(object: MovableObject, to: StorageClass, now: number): Charge[] {
  if (to === object.storageClass) return [];
  const { retrieval } = CLASS_PRICES[object.storageClass];
  return [
    charge(CLASS_PRICES[to].put, 1),
    ...(retrieval === null ? [] : [storage(retrieval, object.bytes)]),
    ...earlyDeletionCharges(object, now),
  ];
}

function earlyDeletionCharges(object: MovableObject, now: number): Charge[] {
  const until = object.storedAt + LEAST_DAYS[object.storageClass] * DAY_MILLISECONDS;
  const secondsLeft = Math.ceil((until - now) / 1000);
  if (secondsLeft <= 0) return [];
  const bytes = billedBytes(object.bytes, object.storageClass);
  const priceId: PriceId = `s3.storage.${tierOf(object, now)}`;
  return [charge(priceId, bytes, BYTES_PER_GB * MONTH_SECONDS, secondsLeft)];
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
      storage(`s3.storage.${tierOf(object, now)}`, billedBytes(bytes, storageClass)),
      ...(isMonitored(object) ? [charge('s3.monitored-object', 1)] : []),
    ],
    vectors: [storage('s3vectors.storage', entry.vectorBytes)],
    scan: [charge(tier.priceId, entry.queriesPerMonth, BYTES_PER_TB, entry.vectorBytes)],
    item: [
      storage('dynamodb.storage', entry.itemBytes),
      storage('dynamodb.point-in-time-recovery', entry.itemBytes),
    ],
  };
}

function refuseImpossible({ bytes, lastReadAt }: StoredObject, now: number): void {
  if (!(bytes >= 0 && bytes <= Number.MAX_SAFE_INTEGER)) refuse('bytes', bytes);
  if (!Number.isFinite(lastReadAt)) refuse('lastReadAt', lastReadAt);
  if (!Number.isFinite(now)) refuse('now', now);
}

function refuse(field: string, value: number): never {
  throw new InvalidInputError(
    field,
    `${field} of a stored object is ${value}`,
    'give whole bytes, and times as epoch milliseconds',
  );
}
