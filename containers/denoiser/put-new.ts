import { randomBytes } from 'node:crypto';
import { ObjectExistsError } from '#ports/errors.ts';
import type { ObjectStore, PutObjectOptions } from '#ports/objects.ts';

const SUFFIX_BYTES = 4;

/**
 * Writes an object under its key or, where that is taken, under one that nobody else has. What is there
 * has the same bytes, as the key carries their hash, but another run left it there: nobody may have
 * named it for a day, and a sweep may be about to delete it. A key of one's own is in no sweep's list.
 *
 * @param suffix what tells the key of this run from others
 * @returns the key that it is under
 * @example `latents/v/0123456789abcdef.fcl`, or `latents/v/0123456789abcdef-89ab01cd.fcl`
 */
export async function putNew(
  objects: Pick<ObjectStore, 'put'>,
  key: string,
  body: Uint8Array,
  options: Omit<PutObjectOptions, 'ifNoneMatch'> = {},
  suffix: () => string = () => randomBytes(SUFFIX_BYTES).toString('hex'),
): Promise<string> {
  try {
    await objects.put(key, body, { ...options, ifNoneMatch: true });
    return key;
  } catch (error) {
    if (!(error instanceof ObjectExistsError)) throw error;
  }
  const dot = key.lastIndexOf('.');
  return putNew(
    objects,
    `${key.slice(0, dot)}-${suffix()}${key.slice(dot)}`,
    body,
    options,
    suffix,
  );
}
