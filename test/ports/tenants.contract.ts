import { describe, expect, test } from 'vitest';
import { ConditionFailedError } from '#core/errors.ts';
import { newTenant, type ApiKey, type Tenant } from '#core/requests/tenant.ts';
import type { TenantTable } from '#ports/tenants.ts';
import { unique } from '../aws/samples.ts';

const DAY = '2026-11-22';
const NOON = Date.parse('2026-11-22T12:00:00.000Z');
/** Ten thousand dollars and a bit in pico-dollars: more than a JavaScript number can hold exactly. */
const LARGE = 10_000_000_000_000_001n;

/** What every implementation of `TenantTable` does. */
export function tenantTableContract(open: () => TenantTable): void {
  describe('tenants', () => {
    test('a tenant that was created reads back as it was, money to the last pico-dollar', async () => {
      const tenant = sampleTenant({ budgetPerDay: LARGE });

      const created = await open().createTenant(tenant);

      expect(created).toEqual(tenant);
      expect(await open().getTenant(tenant.tenant)).toEqual(tenant);
      expect(await open().getTenant('nobody')).toBeNull();
    });

    test('creating a tenant twice returns the first one', async () => {
      const tenant = await open().createTenant(sampleTenant());

      const second = await open().createTenant({ ...tenant, webhookSecret: 'whsec_other' });

      expect(second).toEqual(tenant);
    });

    test('a limit is set, taken away, or left as it is', async () => {
      const tenant = await open().createTenant(newTenant(unique('tenant-')));

      const limited = await open().setLimits(tenant.tenant, {
        concurrentJobs: 0,
        budgetPerDay: LARGE,
      });
      const freed = await open().setLimits(tenant.tenant, { budgetPerDay: null });
      const asked = await open().setLimits(tenant.tenant, {});

      expect(limited).toEqual({ ...tenant, concurrentJobs: 0, budgetPerDay: LARGE });
      expect(freed).toEqual({ ...tenant, concurrentJobs: 0, budgetPerDay: null });
      expect(asked).toEqual(freed);
      expect(await open().getTenant(tenant.tenant)).toEqual(freed);
    });

    test('a limit that makes no sense is refused by its name', async () => {
      const { tenant } = await open().createTenant(newTenant(unique('tenant-')));

      for (const limits of [
        { concurrentJobs: 5001 },
        { requestsPerMinute: 1.5 },
        { budgetPerDay: -1n },
      ]) {
        const setting = open().setLimits(tenant, limits);
        await expect(setting).rejects.toMatchObject({ field: Object.keys(limits)[0] });
      }
    });

    test('limits of a tenant that is not there are an error and create none', async () => {
      const limits = { requestsPerMinute: 5, concurrentJobs: 5, budgetPerDay: 5n };
      const nobody = unique('tenant-');

      const setting = open().setLimits(nobody, limits);

      await expect(setting).rejects.toMatchObject({ code: 'not_found', field: 'tenant' });
      expect(await open().getTenant(nobody)).toBeNull();
    });
  });

  describe('keys', () => {
    test('a key is found by its hash and by nothing else', async () => {
      const key = sampleKey();
      await open().createApiKey(key);

      expect(await open().findApiKey(key.hash)).toEqual(key);
      expect(await open().findApiKey(key.keyId)).toBeNull();
    });

    test('a hash that is taken is refused and keeps its key', async () => {
      const key = sampleKey();
      await open().createApiKey(key);

      const again = open().createApiKey({ ...key, tenant: 'somebody-else' });

      await expect(again).rejects.toThrow(ConditionFailedError);
      expect(await open().findApiKey(key.hash)).toEqual(key);
    });

    test('a revoked key opens nothing, stays in the list, and keeps its first revocation', async () => {
      const tenant = unique('tenant-');
      const [old, young] = [
        sampleKey({ tenant, createdAt: '2026-01-01T00:00:00.000Z' }),
        sampleKey({ tenant, createdAt: '2026-01-02T00:00:00.000Z' }),
      ];
      await open().createApiKey(old);
      await open().createApiKey(young);
      await open().createApiKey(sampleKey({ tenant: unique('tenant-') }));

      const revoked = await open().revokeApiKey(tenant, old.keyId);
      const again = await open().revokeApiKey(tenant, old.keyId);

      expect(revoked).toEqual({ ...old, revokedAt: expect.any(String) });
      expect(again).toEqual(revoked);
      expect(await open().findApiKey(old.hash)).toBeNull();
      expect(await open().findApiKey(young.hash)).toEqual(young);
      expect(await open().listApiKeys(tenant)).toEqual([young, revoked]);
    });

    test('a key of another tenant cannot be revoked', async () => {
      const key = sampleKey();
      await open().createApiKey(key);

      const revoking = open().revokeApiKey('somebody-else', key.keyId);

      await expect(revoking).rejects.toMatchObject({ code: 'not_found', field: 'keyId' });
      expect(await open().findApiKey(key.hash)).toEqual(key);
    });
  });

  describe('requests of a minute', () => {
    test('the limit passes, the next minute begins anew', async () => {
      const tenant = unique('tenant-');
      const count = (now: number) => open().countRequest(tenant, now, 2);

      expect([await count(NOON), await count(NOON + 1), await count(NOON + 59_999)]).toEqual([
        true,
        true,
        false,
      ]);
      expect(await count(NOON + 60_000)).toBe(true);
    });

    test('a limit of none lets nobody through', async () => {
      expect(await open().countRequest(unique('tenant-'), NOON, 0)).toBe(false);
    });
  });

  describe('places', () => {
    test('a job takes one place however often it asks, also when none is free', async () => {
      const tenant = unique('tenant-');

      expect(await open().takePlace(tenant, 'vid_1', 2)).toBe(true);
      expect(await open().takePlace(tenant, 'vid_1', 2)).toBe(true);
      expect(await open().takePlace(tenant, 'vid_2', 2)).toBe(true);
      expect(await open().takePlace(tenant, 'vid_1', 2)).toBe(true);
      expect(await open().takePlace(tenant, 'vid_3', 2)).toBe(false);
      expect(await open().listPlaces(tenant)).toEqual(['vid_1', 'vid_2']);
    });

    test('a place that was freed twice is free once', async () => {
      const tenant = unique('tenant-');
      for (const id of ['vid_1', 'vid_2']) await open().takePlace(tenant, id, 2);

      await open().freePlace(tenant, 'vid_1');
      await open().freePlace(tenant, 'vid_1');
      await open().freePlace(tenant, 'vid_nobody');

      expect(await open().listPlaces(tenant)).toEqual(['vid_2']);
      expect(await open().takePlace(tenant, 'vid_3', 2)).toBe(true);
      expect(await open().takePlace(tenant, 'vid_4', 2)).toBe(false);
    });

    test('the last place that is freed leaves a tenant that can begin again', async () => {
      const tenant = unique('tenant-');
      await open().freePlace(tenant, 'vid_1');
      await open().takePlace(tenant, 'vid_1', 1);
      await open().freePlace(tenant, 'vid_1');

      expect(await open().listPlaces(tenant)).toEqual([]);
      expect(await open().takePlace(tenant, 'vid_2', 1)).toBe(true);
    });

    test('a limit of none gives no place, no limit gives every one', async () => {
      const tenant = unique('tenant-');

      expect(await open().takePlace(tenant, 'vid_1', 0)).toBe(false);
      expect(await open().takePlace(tenant, 'vid_1', null)).toBe(true);
    });
  });

  describe('money of a day', () => {
    test('a job reserves once however often it asks, also when nothing is left', async () => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 10n });

      expect(await open().reserve(one, 10n)).toBe(true);
      expect(await open().reserve(one, 10n)).toBe(true);
      expect(await open().reserve(reservation(tenant, { amount: 1n }), 10n)).toBe(false);
      expect(await open().getSpending(tenant, DAY)).toBe(10n);
    });

    test('what is more than the whole budget is refused', async () => {
      const tenant = unique('tenant-');

      expect(await open().reserve(reservation(tenant, { amount: 11n }), 10n)).toBe(false);
      expect(await open().getSpending(tenant, DAY)).toBe(0n);
    });

    test('days and tenants have budgets of their own', async () => {
      const tenant = unique('tenant-');
      const amount = 10n;

      expect(await open().reserve(reservation(tenant, { amount }), 10n)).toBe(true);
      expect(await open().reserve(reservation(tenant, { amount, day: '2026-11-23' }), 10n)).toBe(
        true,
      );
      expect(await open().reserve(reservation(unique('tenant-'), { amount }), 10n)).toBe(true);
    });

    test.each([
      ['smaller', 4n],
      ['larger', 15n],
      ['equal', 10n],
      ['nothing', 0n],
    ])('a settlement that is %s than the reservation replaces it', async (_, amount) => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 10n });
      await open().reserve(reservation(tenant, { amount: 100n }), 1000n);
      await open().reserve(one, 1000n);

      await open().settle({ ...one, amount });

      expect(await open().getSpending(tenant, DAY)).toBe(100n + amount);
    });

    test('what a settlement gave back can be reserved again', async () => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 10n });
      await open().reserve(one, 10n);
      await open().settle({ ...one, amount: 3n });

      expect(await open().reserve(reservation(tenant, { amount: 8n }), 10n)).toBe(false);
      expect(await open().reserve(reservation(tenant, { amount: 7n }), 10n)).toBe(true);
    });

    test('a reservation that came to nothing is given back once, and can be made anew', async () => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 10n });
      await open().reserve(one, 10n);

      await open().release(one);
      await open().release(one);
      await open().release(reservation(tenant, { amount: 1n }));

      expect(await open().getSpending(tenant, DAY)).toBe(0n);
      expect(await open().reserve(one, 10n)).toBe(true);
      await open().settle({ ...one, amount: 6n });
      await open().release({ ...one, amount: 6n });
      expect(await open().getSpending(tenant, DAY)).toBe(6n);
    });

    test('a second settlement changes nothing, whatever it says', async () => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 10n });
      await open().reserve(one, 100n);

      await open().settle({ ...one, amount: 4n });
      await open().settle({ ...one, amount: 4n });
      await open().settle({ ...one, amount: 9n });

      expect(await open().getSpending(tenant, DAY)).toBe(4n);
    });

    test('a reservation that comes after its settlement holds nothing', async () => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 4n });
      await open().settle(one);

      expect(await open().reserve({ ...one, amount: 10n }, 100n)).toBe(true);

      expect(await open().getSpending(tenant, DAY)).toBe(4n);
    });

    test('without a reservation a settlement counts once, over the budget too', async () => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 40n });

      await open().settle(one);
      await open().settle(one);

      expect(await open().getSpending(tenant, DAY)).toBe(40n);
      expect(await open().reserve(reservation(tenant, { amount: 1n }), 40n)).toBe(false);
    });

    test('large amounts keep every digit', async () => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: LARGE });
      await open().reserve(one, 10n * LARGE);
      await open().reserve(reservation(tenant, { amount: LARGE }), 10n * LARGE);

      await open().settle({ ...one, amount: LARGE + 2n });

      expect(await open().getSpending(tenant, DAY)).toBe(2n * LARGE + 2n);
    });

    test('without a budget nothing is reserved and what was spent is counted', async () => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 10n });

      expect(await open().reserve(one, null)).toBe(true);
      expect(await open().getSpending(tenant, DAY)).toBe(0n);

      await open().settle({ ...one, amount: 7n });
      expect(await open().getSpending(tenant, DAY)).toBe(7n);
    });
  });
}

/** What holds under any interleaving. Not for moto: it loses updates of one item that come at once. */
export function tenantTableRaceContract(open: () => TenantTable): void {
  describe('at once', () => {
    test('of 20 requests at once the limit passes; the next minute begins anew', async () => {
      const tenant = unique('tenant-');

      const counted = await Promise.all(
        Array.from({ length: 20 }, (_, index) => open().countRequest(tenant, NOON + index, 7)),
      );

      expect(counted.filter(Boolean)).toHaveLength(7);
      expect(await open().countRequest(tenant, NOON + 59_999, 7)).toBe(false);
      expect(await open().countRequest(tenant, NOON + 60_000, 7)).toBe(true);
      expect(await open().countRequest(unique('tenant-'), NOON, 7)).toBe(true);
    });

    test('of 50 jobs that want one of 5 places 5 get one', async () => {
      const tenant = unique('tenant-');
      const videoIds = Array.from({ length: 50 }, () => unique('vid_'));

      const answers = await Promise.all(videoIds.map((id) => open().takePlace(tenant, id, 5)));

      const holders = videoIds.filter((_, index) => answers[index]);
      expect(holders).toHaveLength(5);
      expect(await open().listPlaces(tenant)).toEqual([...holders].sort());
    });

    test('50 reservations at once never go over the budget', async () => {
      const tenant = unique('tenant-');
      const reservations = Array.from({ length: 50 }, () => reservation(tenant, { amount: 7n }));

      const answers = await Promise.all(reservations.map((one) => open().reserve(one, 40n)));

      expect(answers.filter(Boolean)).toHaveLength(5);
      expect(await open().getSpending(tenant, DAY)).toBe(35n);
    });

    test.each([
      ['with', true],
      ['without', false],
    ])('ten settlements of one job at once count once, %s a reservation', async (_, isReserved) => {
      const tenant = unique('tenant-');
      const one = reservation(tenant, { amount: 10n });
      if (isReserved) await open().reserve(one, 100n);

      await Promise.all(Array.from({ length: 10 }, () => open().settle({ ...one, amount: 6n })));

      expect(await open().getSpending(tenant, DAY)).toBe(6n);
    });

    test('settlements and reservations of many jobs at once add up', async () => {
      const tenant = unique('tenant-');
      const jobs = Array.from({ length: 24 }, () => reservation(tenant, { amount: 10n }));
      for (const job of jobs.slice(0, 8)) await open().reserve(job, 1000n);

      await Promise.all([
        ...jobs.slice(0, 16).map((job) => open().settle({ ...job, amount: 3n })),
        ...jobs.slice(16).map((job) => open().reserve(job, 1000n)),
      ]);

      expect(await open().getSpending(tenant, DAY)).toBe(16n * 3n + 8n * 10n);
    });
  });
}

export function sampleTenant(changes: Partial<Tenant> = {}): Tenant {
  return {
    tenant: unique('tenant-'),
    requestsPerMinute: 60,
    concurrentJobs: 10,
    budgetPerDay: null,
    webhookSecret: 'whsec_c2VjcmV0',
    createdAt: '2026-01-01T00:00:00.000Z',
    ...changes,
  };
}

function sampleKey(changes: Partial<ApiKey> = {}): ApiKey {
  return {
    keyId: unique('key_'),
    tenant: unique('tenant-'),
    name: 'laptop',
    hash: unique('hash'),
    prefix: 'sk-flex-abcd',
    createdAt: '2026-01-01T00:00:00.000Z',
    ...changes,
  };
}

function reservation(tenant: string, changes: { amount: bigint; day?: string }) {
  return { tenant, day: DAY, videoId: unique('vid_'), ...changes };
}
