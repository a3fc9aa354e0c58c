import { DAY_MILLISECONDS } from '../day.ts';
import { InvalidInputError } from '../errors.ts';
import type { StorageClass, StorageTier } from './storage-class.ts';

/** Properties of a stored latent that determine its rent. Times are epoch milliseconds. */
export interface StoredObject {
  bytes: number;
  storageClass: StorageClass;
  /** Time of the last read or write. */
  lastReadAt: number;
}

/** A GB in price lists is binary: 2^30 bytes. */
export const BYTES_PER_GB = 2 ** 30;

/** Minimum billed size of Standard-IA and Glacier Instant Retrieval; Intelligent-Tiering does not move or monitor smaller objects. */
export const MIN_TIERED_BYTES = 128 * 1024;

/** Days without a read after which Intelligent-Tiering bills less (S3 User Guide). */
const INFREQUENT_AFTER_DAYS = 30;
const ARCHIVE_INSTANT_AFTER_DAYS = 90;

/** Returns the billing tier of an object at a time. */
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
      if (bytes < MIN_TIERED_BYTES || unreadDays < INFREQUENT_AFTER_DAYS) {
        return 'intelligent-tiering.frequent';
      }
      return unreadDays < ARCHIVE_INSTANT_AFTER_DAYS
        ? 'intelligent-tiering.infrequent'
        : 'intelligent-tiering.archive-instant';
    }
  }
}

/** Returns the billed bytes: infrequent-access classes have a minimum size. */
export function billedBytes(bytes: number, storageClass: StorageClass): number {
  const hasLeastSize = storageClass === 'STANDARD_IA' || storageClass === 'GLACIER_IR';
  return hasLeastSize ? Math.max(bytes, MIN_TIERED_BYTES) : bytes;
}

/** Returns whether Intelligent-Tiering charges for monitoring an object. */
export function isMonitored({ bytes, storageClass }: Omit<StoredObject, 'lastReadAt'>): boolean {
  return storageClass === 'INTELLIGENT_TIERING' && bytes >= MIN_TIERED_BYTES;
}

/** Validates an object. @throws InvalidInputError with the invalid field. */
export function refuseImpossible({ bytes, lastReadAt }: StoredObject, now: number): void {
  if (!(bytes >= 0 && bytes <= Number.MAX_SAFE_INTEGER)) refuse('bytes', bytes);
  refuseNoTime('lastReadAt', lastReadAt);
  refuseNoTime('now', now);
}

/** Validates a time. @throws InvalidInputError with the field. */
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
