import { createHash, randomBytes } from 'node:crypto';
import { InvalidInputError } from '../errors.ts';
import { randomKeyId } from './identity.ts';
import type { ApiKey } from './tenant.ts';

/** By which people, and scanners of leaked secrets, know a key of ours. */
const KEY_PREFIX = 'sk-flex-';
const KEY_BYTES = 32;
const KEY_PATTERN = /^sk-flex-[A-Za-z0-9_-]{43}$/;
/** What is shown of a key: the prefix and 24 of its 256 bits. */
const SHOWN_CHARACTERS = KEY_PREFIX.length + 4;

const MAX_NAME_CHARACTERS = 100;
const CONTROL_CHARACTER = /\p{Cc}/u;

/**
 * Makes a key of the API. `key` is what its owner gets, once; only `record` is stored.
 *
 * @param now epoch milliseconds
 * @throws InvalidInputError for a name that is empty, long or has control characters.
 * @example
 * const { key, record } = newApiKey({ tenant: 'acme', name: 'laptop' });
 * await tenants.createApiKey(record);
 */
export function newApiKey(
  { tenant, name }: Pick<ApiKey, 'tenant' | 'name'>,
  now: number = Date.now(),
): { key: string; record: ApiKey } {
  const key = `${KEY_PREFIX}${randomBytes(KEY_BYTES).toString('base64url')}`;
  return {
    key,
    record: {
      keyId: randomKeyId(),
      tenant,
      name: validateKeyName(name),
      hash: hashApiKey(key),
      prefix: key.slice(0, SHOWN_CHARACTERS),
      createdAt: new Date(now).toISOString(),
    },
  };
}

/** Whether it has the form of a key: what has not need not be looked up. */
export function isApiKey(text: string): boolean {
  return KEY_PATTERN.test(text);
}

/** sha256, hexadecimal: the name under which a key is stored. */
export function hashApiKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

function validateKeyName(name: string): string {
  const characters = [...name].length;
  if (characters >= 1 && characters <= MAX_NAME_CHARACTERS && !CONTROL_CHARACTER.test(name)) {
    return name;
  }
  throw new InvalidInputError(
    'name',
    `${JSON.stringify(name.slice(0, MAX_NAME_CHARACTERS))} is no name for a key`,
    `give 1 to ${MAX_NAME_CHARACTERS} characters, without line breaks and other control characters`,
  );
}
