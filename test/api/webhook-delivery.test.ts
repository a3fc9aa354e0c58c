import { expect, test } from 'vitest';
import type { Notification } from '#ports/notifications.ts';
import { backfillSchema } from '#functions/shared/resources/schemas/backfill.ts';
import { videoSchema } from '#functions/shared/resources/schemas/video.ts';
import { deliver } from '#functions/webhook/deliver.ts';
import { startReceiver } from '../functions/webhook/receiver.ts';
import { useApi } from './fixture.ts';

const api = useApi();

/** What the deployed function and the embedded sender do with an announcement. */
function deliverOnce(notification: Notification, deliveries = 1): ReturnType<typeof deliver> {
  const { services, table, tenants } = api();
  const sending = { table, tenants, log: () => {}, posting: { allowLoopback: true } };
  return deliver({ ...services, ...sending }, notification, deliveries);
}

test('a tenant sees what became of a webhook, and has it sent again', async () => {
  // Prepare: a receiver that fails, then is gone, then is there again.
  const { create, complete, call, services, notified } = api();
  const answers = [{ status: 503 }, { status: 410 }, { status: 200 }];
  const receiver = await startReceiver(answers);
  services.webhookPolicy.allowLoopback = true;
  const { id, webhook_delivery: before } = (await create({ webhook: receiver.url })).body;
  const video = { kind: 'video', id } as const;
  const path = `/v1/videos/${id}`;
  const shown = async (): Promise<unknown> =>
    videoSchema.parse((await call('GET', path)).body).webhook_delivery;

  // Act and assess
  expect(before).toBeNull();
  const early = await call('POST', `${path}/webhook/redeliver`);
  expect([early.status, early.body.error.code]).toEqual([409, 'not_ended']);
  await complete(id);

  await deliverOnce(video);
  expect(await shown()).toEqual({
    event_id: `evt_${id}`,
    attempts: 1,
    delivered_at: null,
    gave_up_at: null,
    last_attempt_at: expect.any(Number),
    next_attempt_at: expect.any(Number),
    last_status: 503,
    last_error: 'the receiver answered 503',
  });

  await deliverOnce(video, 2);
  expect(await shown()).toMatchObject({
    attempts: 2,
    gave_up_at: expect.any(Number),
    next_attempt_at: null,
    last_status: 410,
  });
  await deliverOnce(video, 3);
  expect(receiver.received).toHaveLength(2);

  notified.length = 0;
  const again = await call('POST', `${path}/webhook/redeliver`);
  expect(again.status).toBe(200);
  expect(videoSchema.parse(again.body).webhook_delivery).toMatchObject({
    attempts: 2,
    gave_up_at: null,
    next_attempt_at: expect.any(Number),
  });
  expect(notified).toEqual([video]);
  await deliverOnce(video);
  expect(await shown()).toMatchObject({
    attempts: 3,
    delivered_at: expect.any(Number),
    last_status: 200,
    last_error: null,
  });

  // Each time the very same was sent.
  expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
});

test("a backfill's webhook is sent again like a video's", async () => {
  const { call, services, notified } = api();
  const receiver = await startReceiver();
  services.webhookPolicy.allowLoopback = true;
  const json = { prompts: ['a red ball'], webhook: receiver.url };
  const { body } = await call('POST', '/v1/backfills', { json });
  const path = `/v1/backfills/${body.id}`;
  const early = await call('POST', `${path}/webhook/redeliver`);
  expect([early.status, early.body.error.code]).toEqual([409, 'not_ended']);
  await services.backfills.updateBackfill(body.id, { status: 'completed' });

  const answer = await call('POST', `${path}/webhook/redeliver`);
  expect(answer.status).toBe(200);
  expect(notified).toEqual([{ kind: 'backfill', id: body.id }]);
  await deliverOnce({ kind: 'backfill', id: body.id });
  const { webhook_delivery: delivery } = backfillSchema.parse((await call('GET', path)).body);
  expect(delivery).toMatchObject({ attempts: 1, last_status: 204, next_attempt_at: null });
});

test('what has no webhook, or is not there, is told nowhere', async () => {
  const { create, complete, call, makeTenant } = api();
  const { id } = (await create()).body;
  await complete(id);
  const answer = await call('POST', `/v1/videos/${id}/webhook/redeliver`);
  expect([answer.status, answer.body.error.code]).toEqual([409, 'webhook_missing']);
  const { key } = await makeTenant();
  const theirs = await call('POST', `/v1/videos/${id}/webhook/redeliver`, { key });
  expect(theirs.status).toBe(404);
});
