import type { ApiKey, Tenant } from '#core/requests/tenant.ts';
import { OWNER_INDEX, PARTITION_KEY, SORT_KEY } from './table-definition.ts';
import { ownerKey, ownerSortKey, without, type Attributes, type ItemKey } from './table-items.ts';

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
  const tenant = without(item, [PARTITION_KEY, SORT_KEY]) as unknown as Tenant;
  const { budgetPerDay } = tenant;
  if (budgetPerDay === undefined || budgetPerDay === null) return tenant;
  // A number that is small enough comes back as one.
  return { ...tenant, budgetPerDay: BigInt(budgetPerDay) };
}

export function apiKeyToItem(key: ApiKey): ItemKey {
  return {
    ...key,
    ...apiKeyItemKey(key.hash),
    [OWNER_INDEX.partitionKey]: ownerKey('KEYS', key.tenant),
    [OWNER_INDEX.sortKey]: ownerSortKey(key.createdAt, key.keyId),
  };
}

export function itemToApiKey(item: Attributes): ApiKey {
  return without(item, [
    PARTITION_KEY,
    SORT_KEY,
    OWNER_INDEX.partitionKey,
    OWNER_INDEX.sortKey,
  ]) as unknown as ApiKey;
}

function keyOf(partition: string, sort: string): ItemKey {
  return { [PARTITION_KEY]: partition, [SORT_KEY]: sort } as ItemKey;
}
