/** S3 storage classes for latents, all with instant retrieval. */
export type StorageClass = 'STANDARD' | 'INTELLIGENT_TIERING' | 'STANDARD_IA' | 'GLACIER_IR';

export const STORAGE_CLASSES: readonly StorageClass[] = [
  'STANDARD',
  'INTELLIGENT_TIERING',
  'STANDARD_IA',
  'GLACIER_IR',
];

export function isStorageClass(value: string): value is StorageClass {
  return (STORAGE_CLASSES as readonly string[]).includes(value);
}

/** Billing tier of a stored object; Intelligent-Tiering bills by time since the last read. */
export type StorageTier =
  | 'standard'
  | 'standard-ia'
  | 'glacier-ir'
  | 'intelligent-tiering.frequent'
  | 'intelligent-tiering.infrequent'
  | 'intelligent-tiering.archive-instant';
