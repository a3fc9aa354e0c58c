import { ObjectMissingError } from '#core/errors.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';
import { nothingThere, ObjectExistsError, refuseLongObject } from '#ports/errors.ts';
import { sha256Of, validateObjectKey } from '#ports/object-key.ts';
import { meterObjectRead } from '#ports/object-requests.ts';
import type {
  GetObjectOptions,
  ObjectHead,
  ObjectRange,
  ObjectStore,
  PresignOptions,
  PutObjectOptions,
} from '#ports/objects.ts';
import { meterUse } from '#ports/usage-meter.ts';

export interface MemoryObjectsOptions {
  /** Epoch milliseconds: the store's own clock. */
  now?: () => number;
  presign?: (key: string, options: PresignOptions) => string;
}

/** Objects in memory; each call has its effect at once and whole. */
export class MemoryObjects implements ObjectStore {
  readonly #objects = new Map<string, { head: ObjectHead; body: Uint8Array }>();
  readonly #options: MemoryObjectsOptions;

  constructor(options: MemoryObjectsOptions = {}) {
    this.#options = options;
  }

  async put(
    key: string,
    body: Uint8Array,
    { ifNoneMatch = false }: PutObjectOptions = {},
  ): Promise<ObjectHead> {
    validateObjectKey(key);
    if (ifNoneMatch && this.#objects.has(key)) throw new ObjectExistsError(key);
    const modifiedAt = (this.#options.now ?? Date.now)();
    const head = { key, bytes: body.byteLength, sha256: sha256Of(body), modifiedAt };
    this.#objects.set(key, { head, body: Uint8Array.from(body) });
    return head;
  }

  async get(key: string, { atMostBytes }: GetObjectOptions = {}): Promise<Uint8Array> {
    const { head, body } = this.#open(key);
    refuseLongObject(key, head.bytes, atMostBytes);
    meterObjectRead(head.bytes, head.storageClass);
    return Uint8Array.from(body);
  }

  async getRange(key: string, start: number, bytes: number): Promise<ObjectRange> {
    const { head, body: whole } = this.#open(key);
    if (start >= whole.byteLength) throw nothingThere(key, start);
    const body = whole.slice(start, start + bytes);
    meterObjectRead(body.byteLength, head.storageClass);
    return { body, objectBytes: whole.byteLength };
  }

  /** For a read, which is counted whether or not there is something. */
  #open(key: string): { head: ObjectHead; body: Uint8Array } {
    validateObjectKey(key);
    meterUse({ objectGets: 1 });
    const object = this.#objects.get(key);
    if (object === undefined) throw new ObjectMissingError(key);
    return object;
  }

  async head(key: string): Promise<ObjectHead | null> {
    validateObjectKey(key);
    return this.#objects.get(key)?.head ?? null;
  }

  async delete(key: string): Promise<void> {
    validateObjectKey(key);
    this.#objects.delete(key);
  }

  async setStorageClass(key: string, storageClass: StorageClass): Promise<boolean> {
    validateObjectKey(key);
    const object = this.#objects.get(key);
    if (object === undefined) return false;
    object.head = { ...object.head, storageClass };
    return true;
  }

  async *list(prefix: string): AsyncIterable<ObjectHead> {
    yield* this.heads(prefix);
  }

  /** A store of its own with the same objects. */
  fork(options: MemoryObjectsOptions): MemoryObjects {
    const fork = new MemoryObjects(options);
    for (const [key, object] of this.#objects) fork.#objects.set(key, object);
    return fork;
  }

  /** In key order. */
  heads(prefix = ''): ObjectHead[] {
    return [...this.#objects.keys()]
      .filter((key) => key.startsWith(prefix))
      .sort()
      .map((key) => this.#objects.get(key)!.head);
  }

  async presign(key: string, options: PresignOptions): Promise<string> {
    validateObjectKey(key);
    if (this.#options.presign !== undefined) return this.#options.presign(key, options);
    throw new Error('nothing serves what is in memory');
  }
}
