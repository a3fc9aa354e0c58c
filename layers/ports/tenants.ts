import type { ApiKey, Tenant, TenantLimits } from '#core/requests/tenant.ts';

/** Tenants, their keys and what they have used, in the one table. `DynamoTenantTable` is the implementation. */
export interface TenantTable {
  /** Creates the tenant if there is none; returns the stored one either way. */
  createTenant(tenant: Tenant): Promise<Tenant>;
  getTenant(tenant: string): Promise<Tenant | null>;
  /** Sets the limits that are given; the others stay. @throws FlexCacheError `not_found` */
  setLimits(tenant: string, limits: Partial<TenantLimits>): Promise<Tenant>;

  /** @throws ConditionFailedError when the hash is taken. */
  createApiKey(key: ApiKey): Promise<void>;
  /** Null when there is none or it was revoked. */
  findApiKey(hash: string): Promise<ApiKey | null>;
  /** Revoked ones too, newest first. */
  listApiKeys(tenant: string): Promise<ApiKey[]>;
  /** Idempotent. @throws FlexCacheError `not_found` */
  revokeApiKey(tenant: string, keyId: string): Promise<ApiKey>;

  /** Counts one request in the minute of `now` (epoch milliseconds); false when the limit was reached. */
  countRequest(tenant: string, now: number, limit: number): Promise<boolean>;
  /** Takes a place among the jobs under way; idempotent by job. False when none is free. Without a limit nothing is counted. */
  takePlace(tenant: string, videoId: string, limit: number | null): Promise<boolean>;
  /** Idempotent. */
  freePlace(tenant: string, videoId: string): Promise<void>;
  /** Ids of the jobs that hold a place: a crash may have left one that ended. */
  listPlaces(tenant: string): Promise<string[]>;
  /**
   * Reserves money of the day; idempotent by job. False when the budget does not allow it. Without a
   * limit nothing is reserved; `settle` counts what was spent all the same.
   */
  reserve(reservation: Reservation, limit: bigint | null): Promise<boolean>;
  /** Takes back a reservation of this amount that came to nothing: the same job may reserve anew. Idempotent. */
  release(reservation: Reservation): Promise<void>;
  /** Replaces the reservation by what was spent; idempotent: a second settlement changes nothing. */
  settle(settlement: Reservation): Promise<void>;
  /** Spent and reserved of one day, pico-dollars. */
  getSpending(tenant: string, day: string): Promise<bigint>;
}

export interface Reservation {
  tenant: string;
  /** `2026-11-22`, UTC: the day of the job's creation. */
  day: string;
  /** The video's id, or the name of its execution where each attempt is charged by itself. */
  videoId: string;
  /** Pico-dollars. */
  amount: bigint;
}
