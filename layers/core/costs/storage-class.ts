/** S3 classes that a latent may lie in, all of which answer at once. */
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

/** What a stored object is billed as; Intelligent-Tiering bills by how long ago it was read. */
export type StorageTier =
  | 'standard'
  | 'standard-ia'
  | 'glacier-ir'
  | 'intelligent-tiering.frequent'
  | 'intelligent-tiering.infrequent'
  | 'intelligent-tiering.archive-instant';
