import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import {
  validateLimits,
  type ApiKey,
  type Tenant,
  type TenantLimits,
} from '#core/requests/tenant.ts';
import { DynamoItems, type DynamoItemsOptions } from './dynamo-items.ts';
import { OWNER_INDEX } from './table-definition.ts';
import { ownerKey } from './table-items.ts';
import {
  apiKeyItemKey,
  apiKeyToItem,
  chargeItemKey,
  itemToApiKey,
  itemToTenant,
  minuteItemKey,
  placesItemKey,
  spendingItemKey,
  tenantItemKey,
  tenantToItem,
} from './tenant-items.ts';
import type { Reservation, TenantTable } from '#ports/tenants.ts';

const EXISTS = 'attribute_exists(#pk)';
const HAS_ROOM_IN_MINUTE = '(attribute_not_exists(#count) OR #count < :limit)';
const HOLDS_A_PLACE = 'contains(#holders, :videoId)';
const HAS_A_FREE_PLACE = '(attribute_not_exists(#holders) OR size(#holders) < :limit)';

/** Reservations of one day that may be open at once: their item stays below its 400 KB (DynamoDB quotas). */
const MAX_OPEN_RESERVATIONS = 4000;

/** The time-to-live sweep takes what is past this attribute, epoch seconds. */
const MINUTE_IS_KEPT_SECONDS = 600;
/** Longer than any execution takes to end, so that a late settlement finds that it is late. */
const SPENDING_IS_KEPT_DAYS = 40;

const MILLISECONDS_PER_SECOND = 1000;
const SECONDS_PER_DAY = 86_400;
const RETRY_PAUSE_MILLISECONDS = 20;
const MAX_RETRY_PAUSE_MILLISECONDS = 500;
const MAX_RETRIES = 200;

/** One day's spending: `total` is what was spent and what the open reservations hold. */
interface Spending {
  total: bigint;
  open: Readonly<Record<string, bigint>>;
  /** Counts the reservations that were ever opened. */
  opened: number;
}

/**
 * Tenants, keys and usage on DynamoDB, in the one table.
 *
 * | access pattern              | call         | request                                           | units          |
 * |-----------------------------|--------------|---------------------------------------------------|----------------|
 * | create, read, limit         | createTenant | Put/Get/UpdateItem `TENANT#t/TENANT`              | 1              |
 * | who calls                   | findApiKey   | GetItem `APIKEY#hash`, consistent                 | 1 read         |
 * | keys of a tenant            | listApiKeys  | Query `by-owner` backwards, BatchGetItem          | 0.5 + 1 a key  |
 * | requests of a minute        | countRequest | UpdateItem `TENANT#t/MINUTE#...`, conditional     | 1 write        |
 * | jobs under way              | takePlace    | UpdateItem of a string set, conditional           | 1 write per KB |
 * | money of a day              | reserve      | GetItem, UpdateItem `TENANT#t/SPENDING#day`       | 1 write per KB |
 * | money of a day, final       | settle       | 2 GetItem, 2 UpdateItem, PutItem                  | 3-4 write      |
 *
 * @example
 * const tenants = new DynamoTenantTable({ tableName: 'flexcache' });
 * const key = await tenants.findApiKey(hashApiKey(bearer));
 */
export class DynamoTenantTable implements TenantTable {
  readonly #items: DynamoItems;

  constructor(options: DynamoItemsOptions) {
    this.#items = new DynamoItems(options);
  }

  async createTenant(tenant: Tenant): Promise<Tenant> {
    const doing = `create tenant ${tenant.tenant}`;
    if (await this.#items.putIfAbsent(tenantToItem(tenant), doing)) return tenant;
    return (await this.getTenant(tenant.tenant))!;
  }

  async getTenant(tenant: string): Promise<Tenant | null> {
    const item = await this.#items.get(tenantItemKey(tenant), `read tenant ${tenant}`);
    return item && itemToTenant(item);
  }

  async setLimits(tenant: string, limits: Partial<TenantLimits>): Promise<Tenant> {
    const given = Object.entries(validateLimits(limits)).filter(([, limit]) => limit !== undefined);
    if (given.length === 0) return this.#requireTenant(tenant);
    const changed = await this.#items.update(
      tenantItemKey(tenant),
      `set the limits of tenant ${tenant}`,
      {
        update: `SET ${given.map(([name]) => `#${name} = :${name}`).join(', ')}`,
        condition: EXISTS,
        values: Object.fromEntries(given.map(([name, limit]) => [`:${name}`, limit])),
      },
    );
    return changed ? itemToTenant(changed) : this.#requireTenant(tenant);
  }

  async createApiKey(key: ApiKey): Promise<void> {
    if (await this.#items.putIfAbsent(apiKeyToItem(key), `create API key ${key.keyId}`)) return;
    throw new ConditionFailedError(`API key ${key.prefix}... is already there`);
  }

  async findApiKey(hash: string): Promise<ApiKey | null> {
    const item = await this.#items.get(apiKeyItemKey(hash), 'look up an API key');
    const key = item && itemToApiKey(item);
    return key?.revokedAt === undefined ? key : null;
  }

  async listApiKeys(tenant: string): Promise<ApiKey[]> {
    const keys: ApiKey[] = [];
    const query = { index: OWNER_INDEX, key: ownerKey('KEYS', tenant) };
    for await (const page of this.#items.query(query, `list the keys of tenant ${tenant}`)) {
      keys.push(...page.map(itemToApiKey));
    }
    return keys;
  }

  async revokeApiKey(tenant: string, keyId: string): Promise<ApiKey> {
    const key = (await this.listApiKeys(tenant)).find((candidate) => candidate.keyId === keyId);
    const revoked =
      key &&
      (await this.#items.update(apiKeyItemKey(key.hash), `revoke API key ${keyId}`, {
        update: 'SET #revokedAt = if_not_exists(#revokedAt, :now)',
        condition: EXISTS,
        values: { ':now': this.#items.timestamp() },
      }));
    if (revoked) return itemToApiKey(revoked);
    throw new FlexCacheError('not_found', `tenant ${tenant} has no API key ${keyId}`, {
      field: 'keyId',
      fix: 'list its keys with flexcache keys ls',
    });
  }

  async countRequest(tenant: string, now: number, limit: number): Promise<boolean> {
    if (limit < 1) return false;
    const minute = new Date(now).toISOString().slice(0, '2026-11-22T10:15'.length);
    const counted = await this.#items.update(
      minuteItemKey(tenant, minute),
      `count a request of tenant ${tenant}`,
      {
        update: 'SET #expiresAt = :expiresAt ADD #count :one',
        condition: HAS_ROOM_IN_MINUTE,
        values: {
          ':limit': limit,
          ':one': 1,
          ':expiresAt': Math.floor(now / MILLISECONDS_PER_SECOND) + MINUTE_IS_KEPT_SECONDS,
        },
      },
    );
    return counted !== null;
  }

  async takePlace(tenant: string, videoId: string, limit: number | null): Promise<boolean> {
    if (limit === null) return true;
    const taken = await this.#items.update(
      placesItemKey(tenant),
      `take a place of tenant ${tenant}`,
      {
        update: 'ADD #holders :holder',
        condition: limit < 1 ? HOLDS_A_PLACE : `${HOLDS_A_PLACE} OR ${HAS_A_FREE_PLACE}`,
        values: { ':holder': new Set([videoId]), ':videoId': videoId, ':limit': limit },
      },
    );
    return taken !== null;
  }

  async freePlace(tenant: string, videoId: string): Promise<void> {
    await this.#items.update(placesItemKey(tenant), `free a place of tenant ${tenant}`, {
      update: 'DELETE #holders :holder',
      condition: HOLDS_A_PLACE,
      values: { ':holder': new Set([videoId]), ':videoId': videoId },
    });
  }

  async listPlaces(tenant: string): Promise<string[]> {
    const doing = `list the places of tenant ${tenant}`;
    const item = await this.#items.get(placesItemKey(tenant), doing);
    return [...((item?.['holders'] as Set<string> | undefined) ?? [])].sort();
  }

  async reserve(reservation: Reservation, limit: bigint | null): Promise<boolean> {
    if (limit === null) return true;
    const { tenant, day, videoId, amount } = reservation;
    if (await this.#isSettled(reservation)) return true;
    for (;;) {
      if (await this.#open(reservation, { room: limit - amount })) return true;

      const spending = await this.#readSpending(tenant, day);
      if (spending === null) {
        await this.#beginDay(tenant, day);
        continue;
      }
      if (openName(videoId) in spending.open) return true;
      if (Object.keys(spending.open).length >= MAX_OPEN_RESERVATIONS) throw tooManyOpen(tenant);
      return false;
    }
  }

  async release({ tenant, day, videoId, amount }: Reservation): Promise<void> {
    const name = `#open.#${openName(videoId)}`;
    await this.#items.update(spendingItemKey(tenant, day), `release the money of ${videoId}`, {
      update: `SET #total = #total - :amount REMOVE ${name}`,
      condition: `${name} = :amount`,
      values: { ':amount': amount },
    });
  }

  /**
   * The reservation becomes the final amount, then the charge is written, then the reservation closes:
   *
   *     spending    open.id = reserved ──► open.id = final ───────────────────► (closed)
   *     charge                                              ──► written
   *
   * Interrupted anywhere, it goes on where it was: an open reservation that holds the final amount is not
   * counted again, and a written charge says that a closed one was settled. A job without a reservation
   * gets one here, only if none was opened since it was found to have neither.
   */
  async settle(settlement: Reservation): Promise<void> {
    const { tenant, day, videoId } = settlement;
    for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
      if (attempt > 0) await pause(attempt);
      const spending = await this.#readSpending(tenant, day);
      if (spending === null) {
        await this.#beginDay(tenant, day);
        continue;
      }
      const reserved = spending.open[openName(videoId)];
      if (await this.#isSettled(settlement)) {
        if (reserved !== undefined) await this.#close(settlement);
        return;
      }
      const isFinal =
        reserved === undefined
          ? await this.#open(settlement, { opened: spending.opened })
          : reserved === settlement.amount || (await this.#amend(settlement, reserved));
      if (!isFinal) continue;
      await this.#writeCharge(settlement);
      await this.#close(settlement);
      return;
    }
    throw new FlexCacheError('throttled', `could not settle the cost of ${videoId}`, {
      fix: 'try again: too many jobs of this tenant ended at once',
      transient: true,
    });
  }

  async getSpending(tenant: string, day: string): Promise<bigint> {
    return (await this.#readSpending(tenant, day))?.total ?? 0n;
  }

  /** Opens a reservation if there is none; with room in the budget, or while none was opened since. */
  async #open(
    { tenant, day, videoId, amount }: Reservation,
    only: { room: bigint } | { opened: number },
  ): Promise<boolean> {
    const name = `#open.#${openName(videoId)}`;
    const isAllowed =
      'room' in only ? '#total <= :room AND size(#open) < :most' : '#opened = :opened';
    const opened = await this.#items.update(
      spendingItemKey(tenant, day),
      `reserve money of tenant ${tenant}`,
      {
        update: `SET ${name} = :amount, #total = #total + :amount, #opened = #opened + :one`,
        condition: `attribute_not_exists(${name}) AND ${isAllowed}`,
        values: {
          ':amount': amount,
          ':one': 1,
          ':most': MAX_OPEN_RESERVATIONS,
          ...valuesOf(only),
        },
      },
    );
    return opened !== null;
  }

  /** Changes an open reservation, unless somebody else has. */
  async #amend({ tenant, day, videoId, amount }: Reservation, reserved: bigint): Promise<boolean> {
    const name = `#open.#${openName(videoId)}`;
    const amended = await this.#items.update(
      spendingItemKey(tenant, day),
      `settle the cost of ${videoId}`,
      {
        update: `SET ${name} = :amount, #total = #total + :difference`,
        condition: `${name} = :reserved`,
        values: { ':amount': amount, ':difference': amount - reserved, ':reserved': reserved },
      },
    );
    return amended !== null;
  }

  async #writeCharge({ tenant, day, videoId, amount }: Reservation): Promise<void> {
    await this.#items.putIfAbsent(
      { ...chargeItemKey(tenant, day, videoId), amount, expiresAt: expiryOfDay(day) },
      `charge ${videoId}`,
    );
  }

  async #close({ tenant, day, videoId }: Reservation): Promise<void> {
    await this.#items.update(spendingItemKey(tenant, day), `settle the cost of ${videoId}`, {
      update: `REMOVE #open.#${openName(videoId)}`,
      condition: EXISTS,
      values: {},
    });
  }

  async #isSettled({ tenant, day, videoId }: Reservation): Promise<boolean> {
    const key = chargeItemKey(tenant, day, videoId);
    return (await this.#items.get(key, `read the charge of ${videoId}`)) !== null;
  }

  async #requireTenant(tenant: string): Promise<Tenant> {
    const found = await this.getTenant(tenant);
    if (found) return found;
    throw new FlexCacheError('not_found', `there is no tenant ${tenant}`, {
      field: 'tenant',
      fix: 'create a key for it first: flexcache keys create',
    });
  }

  async #readSpending(tenant: string, day: string): Promise<Spending | null> {
    const doing = `read the spending of tenant ${tenant}`;
    const item = await this.#items.get(spendingItemKey(tenant, day), doing);
    if (item === null) return null;
    const open = item['open'] as Record<string, number | bigint>;
    return {
      total: BigInt(item['total'] as number | bigint),
      open: Object.fromEntries(Object.entries(open).map(([name, sum]) => [name, BigInt(sum)])),
      opened: item['opened'] as number,
    };
  }

  async #beginDay(tenant: string, day: string): Promise<void> {
    await this.#items.putIfAbsent(
      {
        ...spendingItemKey(tenant, day),
        total: 0,
        open: {},
        opened: 0,
        expiresAt: expiryOfDay(day),
      },
      `begin a day of tenant ${tenant}`,
    );
  }
}

/** An id as the name of an attribute: expressions take letters, digits and underscores only. */
function openName(videoId: string): string {
  return videoId.replaceAll('-', '_');
}

function valuesOf(only: { room: bigint } | { opened: number }): Record<string, unknown> {
  return 'room' in only ? { ':room': only.room } : { ':opened': only.opened };
}

function expiryOfDay(day: string): number {
  return Date.parse(day) / MILLISECONDS_PER_SECOND + SPENDING_IS_KEPT_DAYS * SECONDS_PER_DAY;
}

function tooManyOpen(tenant: string): FlexCacheError {
  return new FlexCacheError(
    'throttled',
    `tenant ${tenant} has ${MAX_OPEN_RESERVATIONS} videos under way that were made room for in its budget`,
    { fix: 'wait until some of them have ended', transient: true },
  );
}

function pause(attempt: number): Promise<void> {
  const longest = Math.min(
    RETRY_PAUSE_MILLISECONDS * 2 ** Math.min(attempt, 10),
    MAX_RETRY_PAUSE_MILLISECONDS,
  );
  return new Promise((resolve) => setTimeout(resolve, Math.random() * longest));
}
