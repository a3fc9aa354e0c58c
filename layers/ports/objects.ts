import type { StorageClass } from '#core/costs/storage-class.ts';

/** What a store says of an object. */
export interface ObjectHead {
  key: string;
  bytes: number;
  sha256: string;
  /** Epoch milliseconds. */
  modifiedAt: number;
  /** Where it lies, as far as its store knows. */
  storageClass?: StorageClass;
}

/**
 * Binary objects by key. Implementations: `S3ObjectStore` (layers/aws) and `FileObjectStore`
 * (local). Keys are `[A-Za-z0-9_.=-]` segments separated by `/`.
 */
export interface ObjectStore {
  /**
   * Writes an object whole or not at all.
   * @throws ObjectExistsError when `ifNoneMatch` is set and the key is taken.
   */
  put(key: string, body: Uint8Array, options?: PutObjectOptions): Promise<ObjectHead>;
  /**
   * @throws ObjectMissingError; @throws ObjectCorruptError when the checksum does not match, or when it
   * has more than `atMostBytes`, of which none is read.
   */
  get(key: string, options?: GetObjectOptions): Promise<Uint8Array>;
  /**
   * The bytes from `start` on, at most `bytes` of them and fewer where the object ends. The checksum is
   * of the whole object and is not compared: a reader of parts needs checksums of its own.
   * @throws ObjectMissingError; @throws ObjectCorruptError when the object has no byte there.
   */
  getRange(key: string, start: number, bytes: number): Promise<ObjectRange>;
  /** Null when the object is not there. */
  head(key: string): Promise<ObjectHead | null>;
  /** Idempotent: deleting what is not there succeeds. */
  delete(key: string): Promise<void>;
  /**
   * Moves an object to another storage class, bytes and checksum as they are; one that is there already
   * costs no move. False when the object is not there.
   */
  setStorageClass(key: string, storageClass: StorageClass): Promise<boolean>;
  /** In key order. */
  list(prefix: string): AsyncIterable<ObjectHead>;
  /** An address from which anybody may read this one object until it expires; the object need not be there. */
  presign(key: string, options: PresignOptions): Promise<string>;
}

export interface GetObjectOptions {
  /** No limit unless given. */
  atMostBytes?: number;
}

/** A stretch of an object. */
export interface ObjectRange {
  body: Uint8Array;
  /** Of the whole object. */
  objectBytes: number;
}

export interface PresignOptions {
  expiresSeconds: number;
  contentType?: string;
  /** Name under which a browser saves it. */
  fileName?: string;
}

export interface PutObjectOptions {
  contentType?: string;
  /** Refuse to overwrite. */
  ifNoneMatch?: boolean;
}
