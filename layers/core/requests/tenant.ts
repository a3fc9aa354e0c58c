import { randomBytes } from 'node:crypto';
import { InvalidInputError } from '../errors.ts';

/** What one tenant may use. Null is no limit. */
export interface TenantLimits {
  requestsPerMinute: number | null;
  /** Videos queued or running at once. */
  concurrentJobs: number | null;
  /** Pico-dollars a day (UTC), reservations included. */
  budgetPerDay: bigint | null;
}

/** A limit that is absent was never set: the deployment's default holds. */
export interface Tenant extends Partial<TenantLimits> {
  tenant: string;
  /** `whsec_` and base64, as Standard Webhooks has it; signs what we send to this tenant. */
  webhookSecret: string;
  createdAt: string;
}

/** A key of the API as stored: the key itself is shown once, when it is made. */
export interface ApiKey {
  /** `key_` + 26 characters; names the key without being it. */
  keyId: string;
  tenant: string;
  /** What its owner calls it. */
  name: string;
  /** sha256 of the key, hexadecimal. Keys are 256 random bits: no slow hash is needed. */
  hash: string;
  /** First characters of the key, to recognise it by. */
  prefix: string;
  createdAt: string;
  revokedAt?: string;
}

export const NO_LIMITS: TenantLimits = {
  requestsPerMinute: null,
  concurrentJobs: null,
  budgetPerDay: null,
};

export const MAX_REQUESTS_PER_MINUTE = 1_000_000;
/** The ids of a tenant's jobs under way are kept in one item of at most 400 KB (DynamoDB quotas). */
export const MAX_CONCURRENT_JOBS = 5000;
/** A million dollars a day, in pico-dollars. */
export const MAX_BUDGET_PER_DAY = 10n ** 18n;

/** 32 bytes: Standard Webhooks asks for 24 to 64. */
const WEBHOOK_SECRET_BYTES = 32;

/**
 * A tenant that has not used anything yet, without limits of its own.
 *
 * @param now epoch milliseconds
 */
export function newTenant(tenant: string, now: number = Date.now()): Tenant {
  return {
    tenant,
    webhookSecret: `whsec_${randomBytes(WEBHOOK_SECRET_BYTES).toString('base64')}`,
    createdAt: new Date(now).toISOString(),
  };
}

/** What holds for a tenant: its own limits, and the deployment's where it was given none. */
export function limitsOf(tenant: Tenant, defaults: TenantLimits): TenantLimits {
  const { requestsPerMinute, concurrentJobs, budgetPerDay } = tenant;
  return {
    requestsPerMinute:
      requestsPerMinute === undefined ? defaults.requestsPerMinute : requestsPerMinute,
    concurrentJobs: concurrentJobs === undefined ? defaults.concurrentJobs : concurrentJobs,
    budgetPerDay: budgetPerDay === undefined ? defaults.budgetPerDay : budgetPerDay,
  };
}

/** @throws InvalidInputError naming the first limit that is out of its range. */
export function validateLimits<Limits extends Partial<TenantLimits>>(limits: Limits): Limits {
  requireInRange('requestsPerMinute', limits.requestsPerMinute, MAX_REQUESTS_PER_MINUTE);
  requireInRange('concurrentJobs', limits.concurrentJobs, MAX_CONCURRENT_JOBS);
  requireInRange('budgetPerDay', limits.budgetPerDay, MAX_BUDGET_PER_DAY);
  return limits;
}

function requireInRange(
  field: keyof TenantLimits,
  limit: number | bigint | null | undefined,
  highest: number | bigint,
): void {
  if (limit === undefined || limit === null) return;
  const isWhole = typeof limit === 'bigint' || Number.isInteger(limit);
  if (isWhole && limit >= 0 && limit <= highest) return;
  throw new InvalidInputError(
    field,
    `${field} ${limit} is not a whole number from 0 to ${highest}`,
    `give a whole number from 0 to ${highest}, or none for no limit`,
  );
}
