import type { ApiKey, Tenant, TenantLimits } from '../core/tenant.ts';
import { OWNER_INDEX, PARTITION_KEY, SORT_KEY } from './table-definition.ts';
import { ownerKey, type Attributes, type ItemKey } from './table-items.ts';

export function tenantItemKey(tenant: string): ItemKey {
  return keyOf(`TENANT#${tenant}`, 'TENANT');
}

export function apiKeyItemKey(hash: string): ItemKey {
  return keyOf(`APIKEY#${hash}`, 'APIKEY');
}

export function placesItemKey(tenant: string): ItemKey {
  return keyOf(`TENANT#${tenant}`, 'PLACES');
}

/** @param minute `2026-11-22T10:15` */
export function minuteItemKey(tenant: string, minute: string): ItemKey {
  return keyOf(`TENANT#${tenant}`, `MINUTE#${minute}`);
}

/** @param day `2026-11-22` */
export function spendingItemKey(tenant: string, day: string): ItemKey {
  return keyOf(`TENANT#${tenant}`, `SPENDING#${day}`);
}

/** Says that a job's reservation was settled. */
export function chargeItemKey(tenant: string, day: string, videoId: string): ItemKey {
  return keyOf(`TENANT#${tenant}`, `CHARGE#${day}#${videoId}`);
}

export function tenantToItem(tenant: Tenant): ItemKey {
  return { ...tenant, ...tenantItemKey(tenant.tenant) };
}

export function itemToTenant(item: Attributes): Tenant {
  const { requestsPerMinute, concurrentJobs, budgetPerDay } = item as unknown as TenantLimits;
  return {
    tenant: item['tenant'] as string,
    requestsPerMinute,
    concurrentJobs,
    // A number that is small enough comes back as one.
    budgetPerDay: budgetPerDay === null ? null : BigInt(budgetPerDay),
    webhookSecret: item['webhookSecret'] as string,
    createdAt: item['createdAt'] as string,
  };
}

export function apiKeyToItem(key: ApiKey): ItemKey {
  return {
    ...key,
    ...apiKeyItemKey(key.hash),
    [OWNER_INDEX.partitionKey]: ownerKey('KEYS', key.tenant),
    [OWNER_INDEX.sortKey]: `${key.createdAt}#${key.keyId}`,
  };
}

export function itemToApiKey(item: Attributes): ApiKey {
  const { keyId, tenant, name, hash, prefix, createdAt, revokedAt } = item as unknown as ApiKey;
  return {
    keyId,
    tenant,
    name,
    hash,
    prefix,
    createdAt,
    ...(revokedAt !== undefined && { revokedAt }),
  };
}

function keyOf(partition: string, sort: string): ItemKey {
  return { [PARTITION_KEY]: partition, [SORT_KEY]: sort } as ItemKey;
}
