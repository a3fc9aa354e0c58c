import { InvalidInputError } from '#core/errors.ts';
import { POLICY_NAMES, type Capacity, type PolicyName } from '#simulation/types.ts';

/** A capacity as written on the command line, and its value. */
export interface NamedCapacity {
  name: string;
  capacity: Capacity;
}

export const UNLIMITED: NamedCapacity = {
  name: 'unlimited',
  capacity: { entries: null, latentBytes: null },
};

const BYTE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

const CAPACITY = /^(\d+(?:\.\d+)?)\s*(%|[kmgt]?i?b)?$/i;

/**
 * Parses policy names, each once; `all` in a list is the policy that keeps everything.
 *
 * @throws InvalidInputError that names an unknown policy
 */
export function parsePolicies(text: string): PolicyName[] {
  const policies = items('policies', text).map((name) => {
    const known = POLICY_NAMES.find((candidate) => candidate === name);
    if (known !== undefined) return known;
    throw new InvalidInputError(
      'policies',
      `policy "${name}" is not known`,
      `use some of ${POLICY_NAMES.join(', ')}`,
    );
  });
  return [...new Set(policies)];
}

/**
 * Parses capacities: entries (`1000`), bytes of latents (`5MB`, `2GiB`), a share of the entries
 * that the trace would leave without eviction (`10%`), or `unlimited`.
 *
 * @param distinctRequests entries that are 100 %
 * @throws InvalidInputError that names the invalid capacity
 */
export function parseCapacities(text: string, distinctRequests: number): NamedCapacity[] {
  const capacities = items('capacity', text).map((name) => parseCapacity(name, distinctRequests));
  return [...new Map(capacities.map((capacity) => [capacity.name, capacity])).values()];
}

/** Parses one capacity. @throws InvalidInputError if it is invalid. */
export function parseCapacity(name: string, distinctRequests: number): NamedCapacity {
  if (name === UNLIMITED.name) return UNLIMITED;
  const [, digits, unit = ''] = CAPACITY.exec(name) ?? [];
  const number = Number(digits ?? Number.NaN);
  if (unit === '%' && number > 0 && number <= 100) {
    const entries = Math.max(1, Math.round((number / 100) * distinctRequests));
    return { name: `${name} (${entries})`, capacity: { entries, latentBytes: null } };
  }
  if (unit === '' && Number.isInteger(number) && number >= 1 && number <= 1e9) {
    return { name, capacity: { entries: number, latentBytes: null } };
  }
  const bytes = number * (BYTE_UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (bytes >= 1 && bytes <= 1e18) {
    return { name, capacity: { entries: null, latentBytes: Math.floor(bytes) } };
  }
  throw new InvalidInputError(
    'capacity',
    `capacity "${name}" is neither entries, bytes nor a share`,
    'give entries (1000), bytes (5MB, 2GiB), a share of the distinct requests (10%), or unlimited',
  );
}

/** Splits a comma-separated list. @throws InvalidInputError on an empty item. */
export function items(field: string, text: string): string[] {
  const found = text.split(',').map((item) => item.trim());
  if (found.every((item) => item !== '')) return found;
  throw new InvalidInputError(
    field,
    `"${text}" has an empty item`,
    'separate items by single commas',
  );
}
