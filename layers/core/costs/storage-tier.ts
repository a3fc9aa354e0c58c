import { DAY_MILLISECONDS } from '../day.ts';
import { InvalidInputError } from '../errors.ts';
import type { StorageClass, StorageTier } from './storage-class.ts';

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

/** After how many days without a read Intelligent-Tiering bills less (S3 User Guide). */
const INFREQUENT_AFTER_DAYS = 30;
const ARCHIVE_INSTANT_AFTER_DAYS = 90;

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

/** @throws InvalidInputError naming what of an object cannot be. */
export function refuseImpossible({ bytes, lastReadAt }: StoredObject, now: number): void {
  if (!(bytes >= 0 && bytes <= Number.MAX_SAFE_INTEGER)) refuse('bytes', bytes);
  refuseNoTime('lastReadAt', lastReadAt);
  refuseNoTime('now', now);
}

/** @throws InvalidInputError naming the time. */
export function refuseNoTime(field: string, milliseconds: number): void {
  if (!Number.isFinite(milliseconds)) refuse(field, milliseconds);
}

function refuse(field: string, value: number): never {
  throw new InvalidInputError(
    field,
    `${field} of a stored object is ${value}`,
    'give whole bytes, and times as epoch milliseconds',
  );
}
