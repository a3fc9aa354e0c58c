import { describe, expect, onTestFinished, test } from 'vitest';
import { dayOf } from '#core/day.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { newTenant } from '#core/requests/tenant.ts';
import { reserveMoney } from '#functions/shared/reserve-money.ts';
import { DEFAULT_TENANT } from '#local/default-tenant.ts';
import { openEmbeddedCloud, type EmbeddedCloud } from '#local/embedded-cloud.ts';
import { FakeVideoModel } from '../denoiser/fakes.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { fakeModels } from './fake-models.ts';

async function openWith(
  budgetPerDay: bigint,
): Promise<{ cloud: EmbeddedCloud; model: FakeVideoModel }> {
  const model = new FakeVideoModel();
  const cloud = await openEmbeddedCloud(
    { stateDirectory: await temporaryFolder(), modelDirectory: 'nowhere' },
    { openModels: async () => fakeModels(model) },
  );
  onTestFinished(() => cloud.close());
  await cloud.services.tenants.createTenant({ ...newTenant(DEFAULT_TENANT), budgetPerDay });
  return { cloud, model };
}

/** Twelve evaluations may take $0.0076. */
const ROOM_FOR_ONE = parseUsd('0.01', 'budget');

describe('the budget of a day on this machine', () => {
  test('refuses a video before anything is spent on it', async () => {
    const { cloud, model } = await openWith(1n);

    const refused = cloud.generate({ prompt: 'a red ball', idempotencyKey: 'one' });

    await expect(refused).rejects.toMatchObject({
      code: 'budget_exceeded',
      message: expect.stringMatching(
        /^\$0\.0000 of the \$0\.0000 of \d{4}-\d\d-\d\d \(UTC\) are spent or reserved, and this video may take \$0\.\d{4}$/,
      ),
      fix: 'try again tomorrow, or have the budget raised',
    });
    expect(model.times).toEqual([]);
    expect((await cloud.table.listJobs(DEFAULT_TENANT, { limit: 5 })).items).toEqual([]);
  });

  test('is charged what a video took when it ends, and lets the next one in', async () => {
    const { cloud } = await openWith(ROOM_FOR_ONE);

    const job = await cloud.generate({ prompt: 'a red ball' });
    const next = await cloud.generate({ prompt: 'a blue star' });

    const { costOf, tenants } = cloud.services;
    const spent = await tenants.getSpending(DEFAULT_TENANT, dayOf(job.createdAt));
    expect(spent).toBe(
      costOf((await cloud.table.getJob(job.videoId))!) +
        costOf((await cloud.table.getJob(next.videoId))!),
    );
    expect(spent).toBeLessThan(ROOM_FOR_ONE);
  });

  test('holds what is under way: of two at once the second has to wait', async () => {
    const { cloud, model } = await openWith(ROOM_FOR_ONE);
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    model.beforeStep = () => {
      begun.resolve();
      return gate.promise;
    };

    const first = cloud.generate({ prompt: 'a red ball' });
    await begun.promise;
    const second = cloud.generate({ prompt: 'a blue star' });
    await expect(second).rejects.toMatchObject({ code: 'budget_exceeded' });
    gate.resolve();

    expect((await first).status).toBe('completed');
  });

  test('a key that was used for another request reserves nothing', async () => {
    const { cloud } = await openWith(ROOM_FOR_ONE);
    const job = await cloud.generate({ prompt: 'a red ball', idempotencyKey: 'one' });
    const { tenants } = cloud.services;
    const before = await tenants.getSpending(DEFAULT_TENANT, dayOf(job.createdAt));

    const other = cloud.generate({ prompt: 'a blue star', idempotencyKey: 'one' });

    await expect(other).rejects.toMatchObject({ code: 'invalid_input' });
    expect(await tenants.getSpending(DEFAULT_TENANT, dayOf(job.createdAt))).toBe(before);
  });
});

test('a video of an earlier day cannot wait for tomorrow', async () => {
  const tenants = { reserve: async () => false, getSpending: async () => 5n };
  const reservation = { tenant: 'acme', day: '2026-11-20', videoId: 'vid_1', amount: 7n };

  const refused = reserveMoney(tenants, reservation, 10n, Date.parse('2026-11-22'));

  await expect(refused).rejects.toMatchObject({
    fix: expect.stringMatching(/^have the budget raised: /),
  });
});
