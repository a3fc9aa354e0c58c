import { describe, expect, it } from 'vitest';
import { startPoint } from '#core/planning/calibration.ts';
import { randomVideoId } from '#core/requests/identity.ts';
import { explainFailure } from '#functions/shared/explain-failure.ts';
import { createFailHandler } from '#functions/fail/handler.ts';
import { collect } from '../collect.ts';
import { sampleBackfill, sampleResult, unique } from '../aws/samples.ts';
import { commitInput, lookupInput, servicesOn, storedEntry, submit, useTable } from './fixture.ts';

function lambdaCause(errorType: string, errorMessage: string): string {
  return JSON.stringify({ errorType, errorMessage, trace: ['at somewhere'] });
}

describe('Fail', () => {
  const table = useTable();

  it('ends the job with the reason and the usage of the steps that ran', async () => {
    // Prepare
    const request = await submit(table());
    const error = { Error: 'internal', Cause: 'out of memory' };

    // Act
    await createFailHandler(servicesOn(table()))({ ...lookupInput(request), error });

    // Assess
    const job = (await table().getJob(request.videoId))!;
    expect(job).toMatchObject({
      status: 'failed',
      error: { code: 'internal', message: 'out of memory' },
    });
    expect(job.usage.map(({ step }) => step)).toEqual(['embed', 'fail']);
  });

  it('says of a cancelled job that it was cancelled', async () => {
    // Prepare
    const request = await submit(table());
    const error = { Error: 'cancelled', Cause: 'the request was cancelled' };

    // Act
    const ended = await createFailHandler(servicesOn(table()))({ request, error });

    // Assess
    expect(ended.status).toBe('cancelled');
    expect((await table().getJob(request.videoId))!.status).toBe('cancelled');
  });

  it('never takes back a completed video', async () => {
    // Prepare
    const request = await submit(table());
    await table().completeJob(request.videoId, sampleResult());
    const error = { Error: 'States.Timeout', Cause: '' };

    // Act
    const ended = await createFailHandler(servicesOn(table()))({ request, error });

    // Assess
    expect(ended.status).toBe('completed');
    expect((await table().getJob(request.videoId))!.status).toBe('completed');
  });

  it('leaves the first reason of a failed job alone', async () => {
    // Prepare
    const request = await submit(table(), { videoId: randomVideoId() });
    const fail = createFailHandler(servicesOn(table()));
    await fail({ request, error: { Error: 'internal', Cause: 'the first' } });

    // Act
    await fail({ execution: request.videoId, error: { Error: 'Execution.FAILED', Cause: '' } });

    // Assess
    expect((await table().getJob(request.videoId))!.error!.message).toBe('the first');
  });

  it('ends the job of an execution that was stopped', async () => {
    // Prepare
    const videoId = randomVideoId();
    await submit(table(), { videoId });
    const fail = createFailHandler(servicesOn(table()));

    // Act
    const ended = await fail({
      execution: videoId,
      error: { Error: 'Execution.ABORTED', Cause: '' },
    });

    // Assess
    expect(ended).toEqual({ videoId, status: 'cancelled' });
  });

  it('does not take the end of an earlier attempt for that of the present one', async () => {
    // Prepare
    const videoId = randomVideoId();
    await submit(table(), { videoId });
    const fail = createFailHandler(servicesOn(table()));
    await fail({ request: { videoId }, error: { Error: 'internal', Cause: 'the first' } });
    await table().resubmitJob(videoId);
    const error = { Error: 'Execution.FAILED', Cause: '' };

    // Act
    const ofFirst = await fail({ execution: videoId, error });
    const ofSecond = await fail({ execution: `${videoId}-2`, error });

    // Assess
    expect(ofFirst.status).toBe('queued');
    expect(ofSecond.status).toBe('failed');
  });

  it('run again after the job was submitted again leaves the present attempt and its leases alone', async () => {
    // Prepare
    const videoId = randomVideoId();
    const request = await submit(table(), { videoId });
    const { entryId, latentKey } = await storedEntry(table());
    const input = commitInput(request);
    input.lookup.plan.donors = [{ entryId, part: 'whole', similarity: 1, latentKey }];
    const failing = { ...input, error: { Error: 'internal', Cause: 'the first' } };
    const fail = createFailHandler(servicesOn(table()));
    await fail(failing);
    await table().resubmitJob(videoId);
    const lease = { entryId, now: 0, leaseUntil: Date.now() + 1e6 };
    await table().leaseEntry({ ...lease, holder: videoId });
    await table().leaseEntry({ ...lease, holder: `${videoId}-2` });

    // Act
    const again = await fail(failing);

    // Assess
    expect(again).toEqual({ videoId, status: 'queued' });
    expect(await table().moveEntry(entryId, 'READY', 'EVICTING', Date.now())).toBe(false);
    await table().releaseEntry(entryId, `${videoId}-2`);
    expect(await table().moveEntry(entryId, 'READY', 'EVICTING', Date.now())).toBe(true);
  });

  it('lets donors go and does what follows the end of a job, announcing it once', async () => {
    // Prepare
    const videoId = randomVideoId();
    const tenant = unique('tenant-');
    const { backfillId } = sampleBackfill();
    const backfill = { backfillId, line: 4 };
    const request = await submit(
      table(),
      { videoId, tenant },
      { webhook: 'https://example.com/', backfill },
    );
    const services = servicesOn(table());
    await services.tenants.takePlace(tenant, videoId, 1);
    const { entryId, latentKey } = await storedEntry(table(), { tenant });
    await table().leaseEntry({ entryId, holder: videoId, now: 0, leaseUntil: Date.now() + 1e6 });
    const fail = createFailHandler(services);
    const plan = {
      hit: 'whole' as const,
      donors: [{ entryId, part: 'whole' as const, similarity: 1, latentKey }],
      ...startPoint(0.3, 3),
      fullSteps: 12,
      seed: 7,
      exactVideoId: null,
    };
    const lookup = { plan, seconds: 0.1, usage: { step: 'lookup' as const, vectorQueries: 3 } };

    // Act
    await fail({
      ...lookupInput(request),
      lookup,
      error: { Error: 'internal', Cause: 'out of memory' },
    });
    await fail({ execution: videoId, error: { Error: 'Execution.FAILED', Cause: '' } });

    // Assess
    expect(await table().getEntry(entryId)).not.toHaveProperty('leaseUntil');
    expect(await services.tenants.listPlaces(tenant)).toEqual([]);
    expect(await services.tenants.getSpending(tenant, '2026-01-01')).toBeGreaterThan(0n);
    expect(await collect(services.backfills.listLines(backfillId))).toMatchObject([
      { line: 4, status: 'failed', videoId, error: { code: 'internal', message: 'out of memory' } },
    ]);
    expect(services.notifications.sent).toEqual([{ kind: 'video', id: videoId }]);
  });
});

describe('explaining a failure', () => {
  it.each([
    ['States.Timeout', '', 'workflow_failed', /within its time limit/],
    ['Execution.ABORTED', '', 'cancelled', /was stopped/],
    ['Transient', lambdaCause('Transient', 'throttled: slow: down'), 'throttled', /^slow: down$/],
    [
      'condition_failed',
      lambdaCause('condition_failed', 'condition_failed: it is completed'),
      'condition_failed',
      /^it is completed$/,
    ],
    ['model_corrupt', 'internal: not a code here', 'model_corrupt', /^internal: not a code here$/],
    ['TypeError', lambdaCause('TypeError', 'x is not y'), 'internal', /^TypeError: x is not y$/],
    [
      'Lambda.ServiceException',
      'busy',
      'workflow_failed',
      /a service that the workflow uses failed \(Lambda.ServiceException\): busy/,
    ],
    ['internal', '', 'internal', /no cause was given/],
    ['internal', '{"torn', 'internal', /^\{"torn$/],
  ])('%s with cause %j becomes %s', (name, cause, code, message) => {
    // Act
    const error = explainFailure({ Error: name, Cause: cause });

    // Assess
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});
