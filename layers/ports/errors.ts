import { FlexCacheError } from '#core/errors.ts';

/** A put that must not overwrite found the key taken. Keys carry the content's hash, so this is often success. */
export class ObjectExistsError extends FlexCacheError {
  readonly key: string;

  constructor(key: string, options?: ErrorOptions) {
    super('object_exists', `object ${key} is already in the store`, { ...options });
    this.name = 'ObjectExistsError';
    this.key = key;
  }
}

/** An object whose bytes are not the bytes that were put. */
export class ObjectCorruptError extends FlexCacheError {
  readonly key: string;

  constructor(key: string, found: string, options?: ErrorOptions) {
    super('object_corrupt', `object ${key} is damaged: ${found}`, {
      ...options,
      fix: 'delete the object; what depends on it is treated as a miss',
    });
    this.name = 'ObjectCorruptError';
    this.key = key;
  }
}

/** @throws ObjectCorruptError when an object is longer than its reader can use. */
export function refuseLongObject(key: string, bytes: number, atMostBytes = Infinity): void {
  if (bytes <= atMostBytes) return;
  throw new ObjectCorruptError(
    key,
    `it has ${bytes} bytes; ${atMostBytes} are the most it can have`,
  );
}

/** What a read beyond an object's end comes to: it was cut, or is not what its reader takes it for. */
export function nothingThere(key: string, start: number, options?: ErrorOptions): Error {
  return new ObjectCorruptError(key, `it has no byte at ${start}`, options);
}

/** The workflow no longer waits on a task token: it timed out, ended or was stopped. Drop the work. */
export class TaskGoneError extends FlexCacheError {
  constructor(options?: ErrorOptions) {
    super('not_found', 'the workflow no longer waits on this task token', {
      ...options,
      fix: 'stop working on this task; its workflow ended or handed the task out again',
    });
    this.name = 'TaskGoneError';
  }
}
