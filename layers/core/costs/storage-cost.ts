import {
  approximate,
  charge,
  exact,
  invoiceOf,
  storageCharge,
  type Charge,
  type DollarRates,
} from './charges.ts';
import { DAY_MILLISECONDS } from '../day.ts';
import { HOURS_PER_MONTH } from './idle-cost.ts';
import type { PriceBook, PriceId } from '../pricing/prices.ts';
import type { Holdings } from '../retention/retention-run.ts';
import type { StorageClass, StorageTier } from './storage-class.ts';
import {
  billedBytes,
  BYTES_PER_GB,
  isMonitored,
  refuseImpossible,
  refuseNoTime,
  tierOf,
  type StoredObject,
} from './storage-tier.ts';
import type { UsageCost } from './usage-cost.ts';

const MONTH_SECONDS = HOURS_PER_MONTH * 3600;

/** Minimum storage duration in days, billed even after deletion or a move (S3 User Guide, storage classes). */
const MIN_DAYS: Readonly<Record<StorageClass, number>> = {
  STANDARD: 0,
  INTELLIGENT_TIERING: 0,
  STANDARD_IA: 30,
  GLACIER_IR: 90,
};

interface ClassPrices {
  put: PriceId;
  get: PriceId;
  /** Price per GB read; null if a read costs only its request. */
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

/** Adds a latent to its billing tier; entries, videos, vectors and items do not change. */
export function addLatent(holdings: Holdings, object: StoredObject, now: number): void {
  const held = (holdings.latents[tierOf(object, now)] ??= { count: 0, bytes: 0, billedBytes: 0 });
  held.count += 1;
  held.bytes += object.bytes;
  held.billedBytes += billedBytes(object.bytes, object.storageClass);
  if (isMonitored(object)) holdings.monitoredLatents += 1;
}

/**
 * Computes the monthly rent of all stored data. Videos are charged as Standard, an upper bound; items include
 * the table's backup.
 *
 * @throws InvalidInputError if an amount is impossible; @throws UnknownPriceError
 */
export function rentOfHoldings(holdings: Holdings, book: PriceBook): UsageCost {
  const tiers = Object.entries(holdings.latents) as [StorageTier, { billedBytes: number }][];
  const charges: Charge[] = [
    ...tiers.map(([tier, held]) => storageCharge(`s3.storage.${tier}`, held.billedBytes)),
    charge('s3.monitored-object', holdings.monitoredLatents),
    storageCharge('s3.storage.standard', holdings.videoBytes),
    storageCharge('s3vectors.storage', holdings.vectorBytes),
    storageCharge('dynamodb.storage', holdings.itemBytes),
    storageCharge('dynamodb.point-in-time-recovery', holdings.itemBytes),
  ];
  return invoiceOf(charges, book);
}

/** Computes the cost of reading an object: the request, and retrieval per GB in its class. */
export function retrievalCost(object: StoredObject, now: number, book: PriceBook): bigint {
  refuseImpossible(object, now);
  return exact(retrievalCharges(object), book);
}

/** Like `retrievalCost`, in dollars. */
export function retrievalUsd(object: StoredObject, now: number, rates: DollarRates): number {
  refuseImpossible(object, now);
  return approximate(retrievalCharges(object), rates);
}

/** An object with its write time, epoch milliseconds, from which minimum durations count. */
export interface MovableObject extends StoredObject {
  storedAt: number;
}

/**
 * Computes the cost of moving an object to another class by a copy onto itself: retrieval from the old class,
 * a PUT in the new class, and the rest of the old class's minimum duration. Zero if it is already there.
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

/** Like `moveCost`, in dollars. */
export function moveUsd(
  object: MovableObject,
  to: StorageClass,
  now: number,
  rates: DollarRates,
): number {
  refuseImpossible(object, now);
  return approximate(moveCharges(object, to, now), rates);
}

/** Computes the cost of deleting an object: the rest of its class's minimum duration. */
export function deletionCost(object: MovableObject, now: number, book: PriceBook): bigint {
  refuseImpossible(object, now);
  return exact(earlyDeletionCharges(object, now), book);
}

/** Like `deletionCost`, in dollars. */
export function deletionUsd(object: MovableObject, now: number, rates: DollarRates): number {
  refuseImpossible(object, now);
  return approximate(earlyDeletionCharges(object, now), rates);
}

function retrievalCharges({ bytes, storageClass }: StoredObject): Charge[] {
  const { get, retrieval } = CLASS_PRICES[storageClass];
  return [charge(get, 1), ...(retrieval === null ? [] : [storageCharge(retrieval, bytes)])];
}

function moveCharges(object: MovableObject, to: StorageClass, now: number): Charge[] {
  if (to === object.storageClass) return [];
  const { retrieval } = CLASS_PRICES[object.storageClass];
  return [
    charge(CLASS_PRICES[to].put, 1),
    ...(retrieval === null ? [] : [storageCharge(retrieval, object.bytes)]),
    ...earlyDeletionCharges(object, now),
  ];
}

function earlyDeletionCharges(object: MovableObject, now: number): Charge[] {
  refuseNoTime('storedAt', object.storedAt);
  const until = object.storedAt + MIN_DAYS[object.storageClass] * DAY_MILLISECONDS;
  const secondsLeft = Math.ceil((until - now) / 1000);
  if (secondsLeft <= 0) return [];
  const bytes = billedBytes(object.bytes, object.storageClass);
  const priceId: PriceId = `s3.storage.${tierOf(object, now)}`;
  return [charge(priceId, bytes, BYTES_PER_GB * MONTH_SECONDS, secondsLeft)];
}
