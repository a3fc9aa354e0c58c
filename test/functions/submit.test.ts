import { describe, expect, it } from 'vitest';
import type { Backfill } from '#core/requests/backfill.ts';
import { videoIdForKey } from '#core/requests/identity.ts';
import { newTenant } from '#core/requests/tenant.ts';
import type { BackfillItem } from '#functions/shared/backfill-states.ts';
import { createSubmitHandler } from '#functions/submit/handler.ts';
import { collect } from '../collect.ts';
import { SAMPLE_FACTS, sampleResult } from '../aws/samples.ts';
import { BROKEN_ITEM, readableItem, storedBackfill } from './backfill-fixture.ts';
import { COMPATIBILITY_KEY, servicesOn, useTable } from './fixture.ts';

const VIDEO_COST = 1000n;

describe('Submit', () => {
  const table = useTable();

  async function prepare(changes: Partial<Backfill> = {}, budget: bigint | null = null) {
    const services = servicesOn(table());
    const backfill = await storedBackfill(services.backfills, changes);
    const { backfillId, tenant } = backfill;
    const handle = createSubmitHandler({
      ...services,
      modelRevision: 'revision',
      facts: SAMPLE_FACTS,
      estimate: () => VIDEO_COST,
      defaultBudgetPerDay: budget,
    });
    const item = readableItem();
    return {
      ...services,
      backfill,
      backfillId,
      tenant,
      item,
      videoId: videoIdForKey(tenant, item.idempotencyKey),
      submit: (other: BackfillItem = item) => handle({ backfillId, item: other }),
      lines: () => collect(services.backfills.listLines(backfillId)),
    };
  }

  it('makes a line a job of the backfill pool, and says which execution to run', async () => {
    // Prepare
    const { submit, videoId, backfillId, tenant, lines } = await prepare({
      metadata: { team: 'a' },
      defaults: { cache: 'auto', scope: 'shared', steps: null, minSimilarity: 0.5, maxReuse: 0.9 },
    });

    // Act
    const output = await submit();

    // Assess
    const request = {
      videoId,
      prompt: 'a red ball over the sea',
      seed: 7,
      cache: 'auto',
      steps: 12,
      tenant,
      scope: 'shared',
      minSimilarity: 0.5,
      maxReuse: 0.9,
      remixOf: null,
      pool: 'backfill',
    };
    expect(output).toEqual({ done: false, videoId, executionName: videoId, request });
    expect(await table().getJob(videoId)).toMatchObject({
      ...request,
      status: 'queued',
      backfill: { backfillId, line: 1 },
      metadata: { team: 'a' },
      compatibilityKey: COMPATIBILITY_KEY,
    });
    expect(await lines()).toEqual([]);
  });

  it('says the same when it is called again', async () => {
    // Prepare
    const { submit } = await prepare();

    // Act
    const outputs = [await submit(), await submit()];

    // Assess
    expect(outputs[1]).toEqual(outputs[0]);
  });

  it('fails a broken line with its reason, and writes it down', async () => {
    // Prepare
    const { submit, lines } = await prepare();

    // Act
    const submitting = submit(BROKEN_ITEM);

    // Assess
    await expect(submitting).rejects.toMatchObject({
      name: 'invalid_input',
      message: 'invalid_input: the line is not JSON: write {"prompt": "..."}',
    });
    expect(await lines()).toMatchObject([
      {
        line: 2,
        status: 'failed',
        videoId: null,
        error: {
          code: 'invalid_input',
          message: 'the line is not JSON: write {"prompt": "..."}',
          field: 'line',
        },
      },
    ]);
  });

  it('finds a video that was made before, and writes that down at no cost', async () => {
    // Prepare
    const before = await prepare();
    await before.submit();
    await table().completeJob(before.videoId, sampleResult());
    const createdAt = new Date(Date.now() + 1000).toISOString();
    const { submit, lines } = await prepare({ tenant: before.tenant, createdAt });

    // Act
    const output = await submit(before.item);

    // Assess
    expect(output).toEqual({ done: true, videoId: before.videoId });
    const [line] = await lines();
    expect(line).toMatchObject({ status: 'completed', alreadyThere: true, hit: 'whole' });
    expect(line).not.toHaveProperty('cost');
  });

  it('counts as its own what it made before it was cut short', async () => {
    // Prepare
    const { submit, videoId, lines } = await prepare();
    await submit();
    await table().completeJob(videoId, sampleResult());

    // Act
    const output = await submit();

    // Assess
    expect(output).toEqual({ done: true, videoId });
    expect(await lines()).toMatchObject([{ alreadyThere: false, cost: expect.any(String) }]);
  });

  it('tries a video again that failed, under the name of the next attempt, as its own', async () => {
    // Prepare
    const before = await prepare();
    await before.submit();
    await table().failJob(before.videoId, { code: 'internal', message: 'no' }, false);
    const { submit, backfillId } = await prepare({ tenant: before.tenant });

    // Act
    const output = await submit(before.item);

    // Assess
    expect(output).toMatchObject({ done: false, executionName: `${before.videoId}-2` });
    expect(await table().getJob(before.videoId)).toMatchObject({
      status: 'queued',
      attempt: 2,
      backfill: { backfillId, line: 1 },
    });
  });

  it('does not bring back a video that its owner deleted', async () => {
    // Prepare
    const { submit, videoId, lines } = await prepare();
    await submit();
    await table().completeJob(videoId, sampleResult());
    await table().deleteJob(videoId);

    // Assess
    await expect(submit()).rejects.toMatchObject({ name: 'condition_failed' });
    expect(await lines()).toMatchObject([
      { status: 'failed', error: { code: 'condition_failed' } },
    ]);
  });

  it('holds each line against the budget of the day, and fails those beyond it', async () => {
    // Prepare
    const { submit, tenants, tenant, lines } = await prepare({}, 2n * VIDEO_COST);

    // Act
    for (const line of [1, 2]) await submit(readableItem({ line }));
    const beyond = readableItem({ line: 3 });
    const refused = submit(beyond);

    // Assess
    await expect(refused).rejects.toMatchObject({ name: 'budget_exceeded' });
    expect(await lines()).toMatchObject([{ line: 3, error: { code: 'budget_exceeded' } }]);
    expect(await table().getJob(videoIdForKey(tenant, beyond.idempotencyKey))).toBeNull();
    const day = new Date().toISOString().slice(0, 10);
    expect(await tenants.getSpending(tenant, day)).toBe(2n * VIDEO_COST);
  });

  it.each(['completed', 'failed'] as const)(
    'charges what %s without being charged, once, before it goes on',
    async (status) => {
      // Prepare
      const { submit, tenants, tenant, videoId, costOf } = await prepare();
      await submit();
      await table().recordUsage(videoId, {
        step: 'generate',
        run: 'run',
        gpuSeconds: 3600,
        purchaseOption: 'embedded',
      });
      if (status === 'completed') await table().completeJob(videoId, sampleResult());
      else await table().failJob(videoId, { code: 'internal', message: 'no' }, false);
      const ended = (await table().getJob(videoId))!;
      const day = ended.createdAt.slice(0, 10);
      const before = await tenants.getSpending(tenant, day);

      // Act
      await submit();
      const after = await tenants.getSpending(tenant, day);
      await submit();

      // Assess
      expect(before).toBe(0n);
      expect(after).toBe(costOf(ended));
      expect(after).toBeGreaterThan(0n);
      expect(await tenants.getSpending(tenant, day)).toBe(after);
    },
  );

  it("prefers the tenant's own budget to the deployment's", async () => {
    // Prepare
    const { submit, tenants, tenant } = await prepare({}, 0n);
    await tenants.createTenant({ ...newTenant(tenant), budgetPerDay: null });

    // Assess
    expect(await submit()).toMatchObject({ done: false });
  });

  it('begins no line of a backfill that was cancelled', async () => {
    // Prepare
    const { submit, backfills, backfillId, videoId } = await prepare();
    await backfills.requestBackfillCancel(backfillId);

    // Assess
    await expect(submit()).rejects.toMatchObject({ name: 'cancelled' });
    expect(await table().getJob(videoId)).toBeNull();
  });
});
