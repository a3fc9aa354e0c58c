import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { deliver } from '#functions/webhook/deliver.ts';
import { MAX_DELIVERIES, pauseAfter } from '#functions/webhook/delivery-schedule.ts';
import type { Notification } from '#ports/notifications.ts';
import { sampleBackfill, unique } from '../../aws/samples.ts';
import { endedJob, useDeliveries } from './deliveries.ts';
import { startReceiver } from './receiver.ts';

const services = useDeliveries();

const SETTLED = { status: 'settled' };

function video(id: string): Notification {
  return { kind: 'video', id };
}

describe('what is sent', () => {
  test('a completed video is told in the words of the API, signed so that it verifies', async () => {
    const receiver = await startReceiver();
    const { job, tenant } = await endedJob(services(), { webhook: receiver.url });

    expect(await deliver(services(), video(job.videoId), 1)).toEqual(SETTLED);

    const { headers, body } = receiver.received[0]!;
    const event = new Webhook(tenant.webhookSecret).verify(body, headers as never);
    expect(event).toMatchObject({
      type: 'video.completed',
      timestamp: job.completedAt,
      data: { id: job.videoId, object: 'video', status: 'completed', progress: 100 },
    });
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': expect.stringMatching(/^FlexCache\/\d/),
      'webhook-id': `evt_${job.videoId}`,
    });
  });

  test('what was altered on its way, or signed by another, does not verify', async () => {
    const receiver = await startReceiver();
    const { job, tenant } = await endedJob(services(), { webhook: receiver.url });
    const stranger = await endedJob(services());
    await deliver(services(), video(job.videoId), 1);

    const { headers, body } = receiver.received[0]!;
    const verify = (text: string, secret = tenant.webhookSecret, changes = {}) =>
      new Webhook(secret).verify(text, { ...headers, ...changes } as never);

    expect(() => verify(body.replace('completed', 'cancelled'))).toThrow();
    expect(() => verify(body, stranger.tenant.webhookSecret)).toThrow();
    expect(() => verify(body, tenant.webhookSecret, { 'webhook-id': 'evt_other' })).toThrow();
    expect(verify(body)).toBeDefined();
  });

  test('a failed and a cancelled video say so, and why', async () => {
    const receiver = await startReceiver();
    const { table } = services();
    for (const isCancelled of [false, true]) {
      const { job } = await endedJob(services());
      const videoId = unique('vid_');
      await table.createJob({ ...job, videoId, webhook: receiver.url, status: 'queued' });
      await table.failJob(videoId, { code: 'gpu_missing', message: 'no GPU' }, isCancelled);
      await deliver(services(), video(videoId), 1);
    }

    expect(receiver.received.map(({ body }) => JSON.parse(body))).toMatchObject([
      { type: 'video.failed', data: { status: 'failed', error: { code: 'gpu_missing' } } },
      { type: 'video.cancelled', data: { status: 'cancelled' } },
    ]);
  });

  test('a backfill is told in the words of the API, once', async () => {
    const receiver = await startReceiver();
    const { job } = await endedJob(services());
    const { backfillId } = await services()
      .backfills.createBackfill(
        sampleBackfill({ tenant: job.tenant, status: 'running', webhook: receiver.url, lines: 3 }),
      )
      .then(({ backfill }) => backfill);
    const completedAt = '2026-11-22T10:00:00.000Z';
    await services().backfills.updateBackfill(backfillId, { status: 'completed', completedAt });

    await deliver(services(), { kind: 'backfill', id: backfillId }, 1);
    await deliver(services(), { kind: 'backfill', id: backfillId }, 1);

    expect(receiver.received).toHaveLength(1);
    expect(JSON.parse(receiver.received[0]!.body)).toMatchObject({
      type: 'backfill.completed',
      timestamp: completedAt,
      data: { id: backfillId, object: 'backfill', status: 'completed' },
    });
    expect(await services().backfills.getBackfill(backfillId)).toMatchObject({
      webhookDelivery: { eventId: `evt_${backfillId}`, attempts: 1 },
    });
  });

  test('every time of one announcement has the same id, the next attempt at the video another', async () => {
    const receiver = await startReceiver([{ status: 500 }]);
    const { table } = services();
    const { job } = await endedJob(services());
    const videoId = unique('vid_');
    await table.createJob({ ...job, videoId, webhook: receiver.url, status: 'queued' });
    await table.failJob(videoId, { code: 'internal', message: 'no' }, false);

    await deliver(services(), video(videoId), 1);
    await deliver(services(), video(videoId), 2);
    await table.resubmitJob(videoId);
    const whileUnderWay = await deliver(services(), video(videoId), 3);
    await table.startJob(videoId);
    await table.failJob(videoId, { code: 'internal', message: 'no' }, false);
    await deliver(services(), video(videoId), 1);

    expect(whileUnderWay).toEqual(SETTLED);
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual([
      `evt_${videoId}`,
      `evt_${videoId}`,
      `evt_${videoId}-2`,
    ]);
    expect((await table.getJob(videoId))?.webhookDelivery).toMatchObject({ attempts: 1 });
  });

  test('nothing is sent where nobody asked, nothing is there, or it was deleted', async () => {
    const receiver = await startReceiver();
    const unasked = await endedJob(services());
    const deleted = await endedJob(services(), { webhook: receiver.url });
    await services().table.deleteJob(deleted.job.videoId);

    for (const id of [unasked.job.videoId, deleted.job.videoId, 'vid_nobody'])
      expect(await deliver(services(), video(id), 1)).toEqual(SETTLED);

    expect(receiver.received).toEqual([]);
  });
});

describe('what became of it', () => {
  test('a delivery is written beside the video and not repeated', async () => {
    const receiver = await startReceiver();
    const { job } = await endedJob(services(), { webhook: receiver.url });
    const now = () => Date.parse('2026-11-22T10:00:00.000Z');

    await deliver({ ...services(), now }, video(job.videoId), 1);
    await deliver(services(), video(job.videoId), 1);

    expect(receiver.received).toHaveLength(1);
    expect(await services().table.getJob(job.videoId)).toEqual({
      ...job,
      webhookDelivery: {
        eventId: `evt_${job.videoId}`,
        attempts: 1,
        deliveredAt: '2026-11-22T10:00:00.000Z',
        lastAttemptAt: '2026-11-22T10:00:00.000Z',
        lastStatus: 204,
      },
    });
  });

  test.each([400, 302, 404, 429, 500, 503])('after a %i it is tried again', async (status) => {
    const receiver = await startReceiver([{ status }, { status: 200 }]);
    const { job } = await endedJob(services(), { webhook: receiver.url });

    const first = await deliver(services(), video(job.videoId), 1);
    const between = await services().table.getJob(job.videoId);
    const second = await deliver(services(), video(job.videoId), 2);

    expect(first).toEqual({ status: 'failed', retrySeconds: expect.any(Number) });
    expect(between?.webhookDelivery).toEqual({
      eventId: `evt_${job.videoId}`,
      attempts: 1,
      lastAttemptAt: expect.any(String),
      nextAttemptAt: expect.any(String),
      lastStatus: status,
      lastError: `the receiver answered ${status}`,
    });
    expect(second).toEqual(SETTLED);
    expect((await services().table.getJob(job.videoId))?.webhookDelivery).toMatchObject({
      attempts: 2,
      deliveredAt: expect.any(String),
    });
  });

  test('a receiver that is gone is asked once', async () => {
    const receiver = await startReceiver([{ status: 410 }]);
    const { job } = await endedJob(services(), { webhook: receiver.url });

    expect(await deliver(services(), video(job.videoId), 1)).toEqual(SETTLED);
    expect(await deliver(services(), video(job.videoId), 2)).toEqual(SETTLED);

    expect(receiver.received).toHaveLength(1);
    expect((await services().table.getJob(job.videoId))?.webhookDelivery).toMatchObject({
      gaveUpAt: expect.any(String),
      lastError: 'the receiver answered 410',
    });
  });

  test('an address that may not be called is given up at once', async () => {
    const receiver = await startReceiver();
    const { job } = await endedJob(services(), { webhook: receiver.url });

    const outcome = await deliver({ ...services(), posting: {} }, video(job.videoId), 1);

    expect(outcome).toEqual(SETTLED);
    expect(receiver.received).toEqual([]);
    expect((await services().table.getJob(job.videoId))?.webhookDelivery).toMatchObject({
      gaveUpAt: expect.any(String),
      lastError: expect.stringContaining('the machine that serves'),
    });
  });

  test('a tenant without a record has nothing to sign with', async () => {
    const receiver = await startReceiver();
    const tenant = unique('tenant-');
    const { job } = await endedJob(services(), { webhook: receiver.url, tenant });

    expect(await deliver(services(), video(job.videoId), 1)).toEqual(SETTLED);

    expect(receiver.received).toEqual([]);
    expect((await services().table.getJob(job.videoId))?.webhookDelivery).toMatchObject({
      lastError: `tenant ${tenant} does not exist, so the event cannot be signed`,
    });
  });

  test('nobody there is written down, and the last time is the last', async () => {
    const { job } = await endedJob(services(), { webhook: 'http://127.0.0.1:9/' });

    const outcome = await deliver(services(), video(job.videoId), MAX_DELIVERIES);

    expect(outcome).toEqual({ status: 'failed', retrySeconds: null });
    expect((await services().table.getJob(job.videoId))?.webhookDelivery).toMatchObject({
      attempts: 1,
      gaveUpAt: expect.any(String),
      lastError: expect.stringContaining('ECONNREFUSED'),
    });
    expect(services().events.at(-1)).toMatchObject({
      event: 'webhook_given_up',
      videoId: job.videoId,
    });
  });
});

test('the pauses grow from seconds to hours, each a little off so that receivers are not woken together', () => {
  const pauses = (random: () => number) =>
    Array.from({ length: MAX_DELIVERIES }, (_, index) => pauseAfter(index + 1, random));

  expect(pauses(() => 0.5)).toEqual([5, 30, 120, 600, 1800, 3600, 10_800, null]);
  expect(pauses(() => 0)).toEqual([4, 24, 96, 480, 1440, 2880, 8640, null]);
  expect(pauses(() => 1)).toEqual([6, 36, 144, 720, 2160, 4320, 12_960, null]);
});
