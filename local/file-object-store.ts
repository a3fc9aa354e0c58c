import { randomUUID } from 'node:crypto';
import { existsSync, renameSync } from 'node:fs';
import {
  link,
  open as openFile,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { FlexCacheError, InvalidInputError, ObjectMissingError } from '#core/errors.ts';
import { isStorageClass, type StorageClass } from '#core/costs/storage-class.ts';
import {
  nothingThere,
  ObjectCorruptError,
  ObjectExistsError,
  refuseLongObject,
} from '#ports/errors.ts';
import { sha256Of, validateObjectKey } from '#ports/object-key.ts';
import { meterObjectRead } from '#ports/object-requests.ts';
import { meterUse } from '#ports/usage-meter.ts';
import type {
  GetObjectOptions,
  ObjectHead,
  ObjectRange,
  ObjectStore,
  PresignOptions,
  PutObjectOptions,
} from '#ports/objects.ts';
import {
  createFolder,
  createFolderDurably,
  replaceDurably,
  syncFolder,
  writeDurably,
} from './durable-file.ts';
import { fromFileSystem, systemErrorCode } from './file-errors.ts';

/** No object key contains `~`. */
const TEMPORARY_FOLDER = '~writing';
/** The storage classes of objects that were moved, a file under each one's key. */
const CLASSES_FOLDER = '~classes';

/** File systems without hard links say one of these. */
const NO_HARD_LINKS: ReadonlySet<string> = new Set([
  'EMLINK',
  'ENOSYS',
  'ENOTSUP',
  'EOPNOTSUPP',
  'EPERM',
]);

/** A deletion may remove an empty folder between its creation and its use. */
const FOLDER_TRIES = 5;

const TRAILER_BYTES = 56;
const TRAILER_MAGIC = Buffer.from('free' + 'fcobj/1\n', 'latin1');
const LENGTH_OFFSET = 16;
const SHA256_OFFSET = 24;

export interface FileObjectStoreOptions {
  /** Makes the addresses of `presign`: only who serves the files knows where. */
  presign?: (key: string, options: PresignOptions) => string;
  /** Nothing is put: the folder stays as it is, and need not be there. */
  isReadOnly?: boolean;
}

/**
 * Objects as files below a folder. A file is the object's bytes and a trailer:
 *
 *     body | u32 56 | 'free' | 'fcobj/1\n' | u64 body length | sha256 (32 bytes)
 *
 * Body and checksum become visible in one rename (or link, to refuse overwriting), so a crash leaves
 * a whole object or none. The trailer has the shape of an MP4 `free` box: players skip it.
 *
 * One process at a time may use the folder; the lock of the state folder sees to that. A key cannot
 * be both an object and the folder of another one.
 *
 * @example
 * const objects = await FileObjectStore.open('.flexcache/objects');
 * await objects.put('latents/v/1.fcl', bytes, { ifNoneMatch: true });
 */
export class FileObjectStore implements ObjectStore {
  readonly #root: string;
  readonly #presign: FileObjectStoreOptions['presign'];

  private constructor(root: string, { presign }: FileObjectStoreOptions) {
    this.#root = root;
    this.#presign = presign;
  }

  /** Opens the folder; to put objects, it is created when missing and cleared of what a crash left half-written. */
  static async open(root: string, options: FileObjectStoreOptions = {}): Promise<FileObjectStore> {
    const folder = resolve(root);
    const temporary = join(folder, TEMPORARY_FOLDER);
    if (options.isReadOnly) return new FileObjectStore(folder, options);
    try {
      await rm(temporary, { recursive: true, force: true });
      await createFolder(temporary);
    } catch (error) {
      throw fromFileSystem(error, 'open the object store', root);
    }
    return new FileObjectStore(folder, options);
  }

  async put(key: string, body: Uint8Array, options: PutObjectOptions = {}): Promise<ObjectHead> {
    validateObjectKey(key);
    const path = this.#path(key);
    const temporary = join(this.#root, TEMPORARY_FOLDER, randomUUID());
    const sha256 = sha256Of(body);
    meterUse({ objectPuts: 1 });
    try {
      if (options.ifNoneMatch && existsSync(path)) {
        throw taken(path);
      }
      await writeDurably(temporary, [body, trailerOf(body.byteLength, sha256)]);
      await this.#publish(temporary, path, options.ifNoneMatch ?? false);
      await syncFolder(dirname(path));
      await rm(this.#classPath(key), { force: true });
    } catch (error) {
      const code = systemErrorCode(error);
      if (['EEXIST', 'EISDIR', 'ENOTDIR', 'ENOTEMPTY'].includes(code)) {
        if (await isFolderOrBelowObject(path)) throw keyIsAFolder(key);
        throw new ObjectExistsError(key, { cause: error });
      }
      throw fromFileSystem(error, `store object ${key}`, path);
    } finally {
      await rm(temporary, { force: true });
    }
    meterUse({ objectBytesWritten: body.byteLength });
    return { key, bytes: body.byteLength, sha256, modifiedAt: Date.now() };
  }

  async get(key: string, { atMostBytes }: GetObjectOptions = {}): Promise<Uint8Array> {
    validateObjectKey(key);
    meterUse({ objectGets: 1 });
    let file: Buffer;
    try {
      await using handle = await openFile(this.#path(key), 'r');
      refuseLongObject(key, (await handle.stat()).size - TRAILER_BYTES, atMostBytes);
      file = await handle.readFile();
    } catch (error) {
      if (error instanceof ObjectCorruptError) throw error;
      if (isNoObject(error)) throw new ObjectMissingError(key, { cause: error });
      throw fromFileSystem(error, `read object ${key}`, this.#path(key));
    }
    const bytes = file.byteLength - TRAILER_BYTES;
    const sha256 = bytes < 0 ? null : sha256InTrailer(file.subarray(bytes), bytes);
    if (sha256 === null) throw new ObjectCorruptError(key, 'it is truncated or not ours');
    const body = new Uint8Array(file.buffer, file.byteOffset, bytes);
    meterObjectRead(bytes, await this.#storageClassOf(key));
    if (sha256Of(body) !== sha256) throw new ObjectCorruptError(key, `its sha256 is not ${sha256}`);
    return body;
  }

  async getRange(key: string, start: number, bytes: number): Promise<ObjectRange> {
    validateObjectKey(key);
    meterUse({ objectGets: 1 });
    try {
      await using handle = await openFile(this.#path(key), 'r');
      const objectBytes = (await handle.stat()).size - TRAILER_BYTES;
      const trailer = Buffer.alloc(TRAILER_BYTES);
      if (objectBytes >= 0) await handle.read(trailer, 0, TRAILER_BYTES, objectBytes);
      if (objectBytes < 0 || sha256InTrailer(trailer, objectBytes) === null) {
        throw new ObjectCorruptError(key, 'it is truncated or not ours');
      }
      if (start >= objectBytes) throw nothingThere(key, start);
      const body = new Uint8Array(Math.min(bytes, objectBytes - start));
      await handle.read(body, 0, body.byteLength, start);
      meterObjectRead(body.byteLength, await this.#storageClassOf(key));
      return { body, objectBytes };
    } catch (error) {
      if (error instanceof ObjectCorruptError) throw error;
      if (isNoObject(error)) throw new ObjectMissingError(key, { cause: error });
      throw fromFileSystem(error, `read object ${key}`, this.#path(key));
    }
  }

  /** A damaged object has an empty `sha256`; `get` says what is wrong with it. */
  async head(key: string): Promise<ObjectHead | null> {
    validateObjectKey(key);
    meterUse({ objectGets: 1 });
    try {
      const file = await openFile(this.#path(key), 'r');
      try {
        const facts = await file.stat();
        if (!facts.isFile()) return null;
        const bytes = facts.size - TRAILER_BYTES;
        const trailer = Buffer.alloc(TRAILER_BYTES);
        if (bytes >= 0) await file.read(trailer, 0, TRAILER_BYTES, bytes);
        const sha256 = sha256InTrailer(trailer, bytes) ?? '';
        const storageClass = await this.#storageClassOf(key);
        return {
          key,
          bytes: Math.max(bytes, 0),
          sha256,
          modifiedAt: facts.mtimeMs,
          ...(storageClass && { storageClass }),
        };
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isNoObject(error)) return null;
      throw fromFileSystem(error, `look at object ${key}`, this.#path(key));
    }
  }

  async delete(key: string): Promise<void> {
    validateObjectKey(key);
    const path = this.#path(key);
    try {
      if (!(await stat(path)).isFile()) return;
      await rm(path, { force: true });
      await syncFolder(dirname(path));
      await this.#removeEmptyFolders(dirname(path));
      await rm(this.#classPath(key), { force: true });
    } catch (error) {
      if (isNoObject(error)) return;
      throw fromFileSystem(error, `delete object ${key}`, path);
    }
  }

  /** Files have no classes: it is recorded, so that prices and reports are those of a bucket. */
  async setStorageClass(key: string, storageClass: StorageClass): Promise<boolean> {
    if ((await this.head(key)) === null) return false;
    const path = this.#classPath(key);
    meterUse({ objectPuts: 1 });
    try {
      await createFolder(dirname(path));
      await replaceDurably(path, [Buffer.from(storageClass)]);
      return true;
    } catch (error) {
      throw fromFileSystem(error, `record the storage class of object ${key}`, path);
    }
  }

  async *list(prefix: string): AsyncIterable<ObjectHead> {
    meterUse({ objectPuts: 1 });
    for await (const key of this.#keysBelow('', prefix)) {
      const head = await this.head(key);
      if (head) yield head;
    }
  }

  /** @throws FlexCacheError `internal` when nobody serves these files. */
  async presign(key: string, options: PresignOptions): Promise<string> {
    validateObjectKey(key);
    if (this.#presign !== undefined) return this.#presign(key, options);
    throw new FlexCacheError('internal', `nothing serves object ${key} to others`, {
      fix: 'start flexcache serve, or read the file',
    });
  }

  async #storageClassOf(key: string): Promise<StorageClass | null> {
    try {
      const recorded = await readFile(this.#classPath(key), 'utf8');
      return isStorageClass(recorded) ? recorded : null;
    } catch (error) {
      if (isNoObject(error)) return null;
      throw error;
    }
  }

  #classPath(key: string): string {
    return join(this.#root, CLASSES_FOLDER, ...key.split('/'));
  }

  #path(key: string): string {
    return join(this.#root, ...key.split('/'));
  }

  async #publish(temporary: string, path: string, ifNoneMatch: boolean): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await createFolderDurably(this.#root, dirname(path));
        if (ifNoneMatch) await linkOrRename(temporary, path);
        else await rename(temporary, path);
        return;
      } catch (error) {
        if (systemErrorCode(error) !== 'ENOENT' || attempt === FOLDER_TRIES) throw error;
      }
    }
  }

  /** Keys in code-unit order: a folder sorts as its name with the `/` that follows it. */
  async *#keysBelow(folder: string, prefix: string): AsyncIterable<string> {
    let children;
    try {
      children = await readdir(join(this.#root, folder), { withFileTypes: true });
    } catch (error) {
      if (isNoObject(error)) return;
      throw fromFileSystem(error, 'list objects', join(this.#root, folder));
    }
    const names = children
      .filter((child) => folder !== '' || ![TEMPORARY_FOLDER, CLASSES_FOLDER].includes(child.name))
      .map((child) => `${folder}${child.name}${child.isDirectory() ? '/' : ''}`)
      .sort((one, other) => (one < other ? -1 : 1));
    for (const name of names) {
      if (name.endsWith('/')) {
        if (name.startsWith(prefix) || prefix.startsWith(name))
          yield* this.#keysBelow(name, prefix);
      } else if (name.startsWith(prefix)) {
        yield name;
      }
    }
  }

  async #removeEmptyFolders(folder: string): Promise<void> {
    for (let path = folder; path.length > this.#root.length; path = dirname(path)) {
      try {
        await rmdir(path);
      } catch (error) {
        if (['EEXIST', 'ENOENT', 'ENOTEMPTY'].includes(systemErrorCode(error))) return;
        throw error;
      }
    }
  }
}

/** Atomic and exclusive. Without hard links: nothing runs between two synchronous calls of one process. */
async function linkOrRename(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (!NO_HARD_LINKS.has(systemErrorCode(error))) throw error;
    if (existsSync(path)) throw taken(path);
    renameSync(temporary, path);
  }
}

function taken(path: string): Error {
  return Object.assign(new Error(`${path} is taken`), { code: 'EEXIST' });
}

function trailerOf(bytes: number, sha256: string): Buffer {
  const trailer = Buffer.alloc(TRAILER_BYTES);
  trailer.writeUInt32BE(TRAILER_BYTES, 0);
  TRAILER_MAGIC.copy(trailer, 4);
  trailer.writeBigUInt64BE(BigInt(bytes), LENGTH_OFFSET);
  trailer.write(sha256, SHA256_OFFSET, 'hex');
  return trailer;
}

/** Null when these bytes are not the trailer of a body of this length. */
function sha256InTrailer(trailer: Buffer, bytes: number): string | null {
  const sha256 = trailer.toString('hex', SHA256_OFFSET);
  return bytes >= 0 && trailer.equals(trailerOf(bytes, sha256)) ? sha256 : null;
}

function isNoObject(error: unknown): boolean {
  return ['EISDIR', 'ENOENT', 'ENOTDIR'].includes(systemErrorCode(error));
}

async function isFolderOrBelowObject(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    return systemErrorCode(error) === 'ENOTDIR';
  }
}

function keyIsAFolder(key: string): InvalidInputError {
  return new InvalidInputError(
    'key',
    `object key ${key} is the folder of another object, or lies below one`,
    'use another key',
  );
}
