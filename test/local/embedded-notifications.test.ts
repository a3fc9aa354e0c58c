import { expect, onTestFinished, test } from 'vitest';
import type { Job } from '#core/generation.ts';
import { EmbeddedNotifications } from '#local/embedded-notifications.ts';
import { endedJob, useDeliveries, type DeliveryFixture } from '../functions/webhook/deliveries.ts';
import { startReceiver } from '../functions/webhook/receiver.ts';

const services = useDeliveries();

function open(changes: Partial<DeliveryFixture> = {}): EmbeddedNotifications {
  const notifications = new EmbeddedNotifications({ ...services(), ...changes });
  onTestFinished(() => notifications.close());
  return notifications;
}

/** Waits for a fact of the table. */
async function until(videoId: string, holds: (job: Job) => boolean): Promise<Job> {
  for (;;) {
    const job = (await services().table.getJob(videoId))!;
    if (holds(job)) return job;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function* these(...jobs: Job[]): AsyncIterable<Job> {
  yield* jobs;
}

const isDelivered = ({ webhookDelivery }: Job) => webhookDelivery?.deliveredAt !== undefined;
const isGivenUp = ({ webhookDelivery }: Job) => webhookDelivery?.gaveUpAt !== undefined;

test('what is sent is delivered, tried again until the receiver takes it', async () => {
  const receiver = await startReceiver([{ status: 500 }, { status: 503 }, { status: 200 }]);
  const { job } = await endedJob(services(), { webhook: receiver.url });

  await open({ pauseAfter: () => 0.01 }).send({ kind: 'video', id: job.videoId });

  const told = await until(job.videoId, isDelivered);
  expect(told.webhookDelivery).toMatchObject({ attempts: 3 });
  expect(receiver.received).toHaveLength(3);
});

test('a receiver that stays away is given up after its last time', async () => {
  const receiver = await startReceiver([{ status: 500 }]);
  const { job } = await endedJob(services(), { webhook: receiver.url });
  const pauseAfter = (deliveries: number) => (deliveries < 3 ? 0.01 : null);

  await open({ pauseAfter }).send({ kind: 'video', id: job.videoId });

  const told = await until(job.videoId, isGivenUp);
  expect(told.webhookDelivery).toMatchObject({ attempts: 3 });
  expect(receiver.received).toHaveLength(3);
});

test('many are delivered once each, and one receiver that hangs holds up nobody', async () => {
  const [hanging, receiver] = [await startReceiver([null]), await startReceiver()];
  const stuck = await endedJob(services(), { webhook: hanging.url });
  const notifications = open();
  await notifications.send({ kind: 'video', id: stuck.job.videoId });

  for (let index = 0; index < 30; index++) {
    const { job } = await endedJob(services(), { webhook: receiver.url });
    await notifications.send({ kind: 'video', id: job.videoId });
  }

  await receiver.count(30);
  const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
  expect(new Set(ids).size).toBe(30);
});

test('what waited when its process closed is sent by the next one; the rest is not', async () => {
  const receiver = await startReceiver([{ status: 500 }, { status: 200 }]);
  const quiet = await startReceiver();
  const waiting = await endedJob(services(), { webhook: receiver.url });
  const unasked = await endedJob(services());
  const told = await endedJob(services(), { webhook: quiet.url });
  const first = open();
  await first.send({ kind: 'video', id: told.job.videoId });
  await first.send({ kind: 'video', id: waiting.job.videoId });
  const { webhookDelivery } = await until(
    waiting.job.videoId,
    (job) => job.webhookDelivery !== undefined,
  );
  const delivered = await until(told.job.videoId, isDelivered);
  await first.close();

  const failed = (await services().table.getJob(waiting.job.videoId))!;
  await open().resume(these(failed, unasked.job, delivered));

  expect(webhookDelivery).toMatchObject({ attempts: 1, lastError: expect.any(String) });
  expect(await until(failed.videoId, isDelivered)).toMatchObject({
    webhookDelivery: { attempts: 2 },
  });
  expect(quiet.received).toHaveLength(1);
});

test('closing breaks off what hangs, starts nothing more, and leaves it to be resumed', async () => {
  const receiver = await startReceiver([null]);
  const { job } = await endedJob(services(), { webhook: receiver.url });
  const notifications = open();
  await notifications.send({ kind: 'video', id: job.videoId });
  await receiver.count(1);

  await notifications.close();
  await notifications.send({ kind: 'video', id: job.videoId });
  await notifications.close();

  expect(receiver.received).toHaveLength(1);
  expect(await services().table.getJob(job.videoId)).toEqual(job);
});

test('a table that fails for a moment is not the end of an announcement', async () => {
  const receiver = await startReceiver();
  const { job } = await endedJob(services(), { webhook: receiver.url });
  const { table } = services();
  let failures = 1;
  const flaky = {
    ...services(),
    pauseAfter: () => 0.01,
    table: {
      readQueue: async () => [],
      getJob: (videoId: string) =>
        failures-- > 0 ? Promise.reject(new Error('no table')) : table.getJob(videoId),
    },
  };
  const notifications = new EmbeddedNotifications(flaky);
  onTestFinished(() => notifications.close());

  await notifications.send({ kind: 'video', id: job.videoId });

  await until(job.videoId, isDelivered);
  expect(services().events).toContainEqual(expect.objectContaining({ event: 'webhook_unsent' }));
});
