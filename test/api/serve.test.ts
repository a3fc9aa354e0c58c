import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import OpenAI, { APIError, NotFoundError } from 'openai';
import { Webhook } from 'standardwebhooks';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { WireBackfill } from '#functions/shared/resources/schemas/backfill.ts';
import type { WireVideo } from '#functions/shared/resources/schemas/video.ts';
import { loadManifest } from '#models/manifest.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { DEMO_PACKAGE } from './fixture.ts';
import { ended, serve } from './serve-fixture.ts';

/** Real videos take seconds, and more on a busy machine. */
const TEST_TIMEOUT = 240_000;

const BALL = 'a small blue ball rising over the ocean at dawn';
const STAR = 'a large red star falling in front of a brick wall at dusk';

async function until(isReached: () => Promise<boolean>): Promise<void> {
  while (!(await isReached())) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe('the official client', () => {
  test(
    'creates, polls, lists, downloads, remixes and deletes videos',
    async () => {
      const { client: clientOf, faults } = await serve(await temporaryFolder());
      const client = await clientOf('acme');
      const { steps } = (await loadManifest(DEMO_PACKAGE)).manifest.scheduler;

      const video = await client.videos.create({ prompt: BALL, seconds: '2' as '4' });
      expect(video).toMatchObject({ object: 'video', status: 'queued', model: 'demo-world' });
      const completed = await ended(client, video.id);
      expect(completed).toMatchObject({
        status: 'completed',
        progress: 100,
        cache: { hit: 'miss', steps_run: steps, steps_full: steps },
      });
      expect(Number(completed.cost!.amount)).toBeGreaterThan(0);
      expect(completed.cost!.priced_as.is_reference).toBe(true);

      const content = await client.videos.downloadContent(video.id);
      const mp4 = Buffer.from(await content.arrayBuffer());
      expect(content.headers.get('content-type')).toBe('video/mp4');
      expect(content.headers.get('content-disposition')).toContain(`${video.id}.mp4`);
      expect(mp4.toString('latin1', 4, 8)).toBe('ftyp');
      const part = await fetch(content.url, { headers: { range: 'bytes=4-7' } });
      expect([part.status, await part.text()]).toEqual([206, 'ftyp']);
      expect(part.headers.get('content-range')).toBe(`bytes 4-7/${mp4.length}`);
      const thumbnail = await client.videos.downloadContent(video.id, { variant: 'thumbnail' });
      expect(Buffer.from(await thumbnail.arrayBuffer()).toString('latin1', 1, 4)).toBe('PNG');
      const sheet = await client.videos.downloadContent(video.id, { variant: 'spritesheet' });
      expect(Buffer.from(await sheet.arrayBuffer()).readUInt16BE()).toBe(0xffd8);

      const remix = await client.videos.remix(video.id, { prompt: `${BALL}, again` });
      expect(remix.remixed_from_video_id).toBe(video.id);
      expect(await ended(client, remix.id)).toMatchObject({
        status: 'completed',
        cache: { donors: [expect.objectContaining({ id: video.id })] },
      });

      const listed: string[] = [];
      for await (const { id } of client.videos.list({ limit: 1 })) listed.push(id);
      expect(listed).toEqual([remix.id, video.id]);
      expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['demo-world']);

      expect(await client.videos.delete(video.id)).toMatchObject({ id: video.id, deleted: true });
      await expect(client.videos.retrieve(video.id)).rejects.toThrow(NotFoundError);
      const refused: unknown = await client.videos
        .create({ prompt: BALL, model: 'sora-2' })
        .catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(APIError);
      expect(refused).toMatchObject({ status: 400, code: 'model_not_found', param: 'model' });
      expect((refused as APIError).requestID).toBeTruthy();
      expect(faults).toEqual([]);
    },
    TEST_TIMEOUT,
  );

  test(
    'of two tenants with the same prompts share nothing, unless both chose to',
    async () => {
      const { client: clientOf } = await serve(await temporaryFolder());
      const [one, other] = [await clientOf('one'), await clientOf('other')];
      const make = async (client: OpenAI, fields: object): Promise<WireVideo> => {
        const asked = { prompt: BALL, extra_params: { seed: 1, ...fields } };
        return ended(client, (await client.videos.create(asked)).id);
      };
      const first = await make(one, {});
      const second = await make(other, {});
      expect(second).toMatchObject({ status: 'completed', cache: { hit: 'miss', donors: [] } });
      expect((await make(other, { scope: 'shared' })).cache.hit).toBe('miss');
      const sharedByOne = await make(one, { scope: 'shared' });
      expect(sharedByOne.cache).toMatchObject({ hit: 'exact', donors: [{ id: null }] });
      expect((await make(one, {})).cache).toMatchObject({
        hit: 'exact',
        donors: [{ id: first.id }],
      });

      for (const read of [
        () => other.videos.retrieve(first.id),
        () => other.videos.downloadContent(first.id),
        () => other.videos.delete(first.id),
        () => other.videos.remix(first.id, { prompt: STAR }),
      ]) {
        await expect(read()).rejects.toThrow(NotFoundError);
      }
      const visible = JSON.stringify((await other.videos.list()).data);
      expect(visible).not.toContain(first.id);
      expect(visible).not.toContain(sharedByOne.id);
    },
    TEST_TIMEOUT,
  );

  test(
    'cancels a video in progress: no further step, no entry, no lease, no place',
    async () => {
      const { server, client: clientOf } = await serve(await temporaryFolder());
      const client = await clientOf('acme');
      const { tenants } = server.cloud.services;
      await tenants.setLimits('acme', { concurrentJobs: 1, budgetPerDay: 10n ** 13n });
      const { id } = await client.videos.create({ prompt: BALL });
      await until(async () => {
        const { status, progress } = await client.videos.retrieve(id);
        return status === 'in_progress' && progress > 0;
      });
      expect(await client.videos.delete(id)).toMatchObject({ deleted: false });
      const cancelled = await ended(client, id);
      expect(cancelled).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
      expect(cancelled.progress).toBeLessThan(100);

      const { table } = server.cloud;
      expect(await table.getEntry(id)).toBeNull();
      await until(async () => (await tenants.listPlaces('acme')).length === 0);
      // The place is free, and nothing of the cancelled video is found.
      const next = await ended(client, (await client.videos.create({ prompt: BALL })).id);
      expect(next).toMatchObject({ status: 'completed', cache: { hit: 'miss' } });
      expect((await table.getEntry(next.id))!.state).toBe('READY');
    },
    TEST_TIMEOUT,
  );
});

describe('a server that stops while a video is in the making', () => {
  test(
    'goes on with it when it is started again, and finishes it once',
    async () => {
      const folder = await temporaryFolder();
      const first = await serve(folder);
      const client = await first.client('acme');
      const options = { headers: { 'Idempotency-Key': 'order-1' } };
      const { id } = await client.videos.create({ prompt: STAR }, options);
      await until(async () => (await client.videos.retrieve(id)).status === 'in_progress');
      await first.server.close();
      await expect(client.videos.retrieve(id)).rejects.toThrow(/connection/i);

      const second = await serve(folder);
      expect(second.server.resumed).toEqual([id]);
      const again = new OpenAI({ baseURL: `${second.server.url}/v1`, apiKey: client.apiKey });
      expect(await ended(again, id)).toMatchObject({ status: 'completed', progress: 100 });
      expect((await again.videos.create({ prompt: STAR }, options)).id).toBe(id);
      expect((await again.videos.list()).data).toHaveLength(1);
    },
    TEST_TIMEOUT,
  );
});

describe('what else is behind the API', () => {
  test(
    'webhooks to this machine are refused unless the server was started to allow them',
    async () => {
      const { server, client: clientOf } = await serve(await temporaryFolder());
      const client = await clientOf('acme');
      const { port } = new URL(server.url);
      for (const host of ['127.0.0.1', 'localhost', '[::1]', '2130706433', '[::ffff:127.0.0.1]']) {
        const webhook = `http://${host}:${port}/healthz`;
        const refusal = client.post('/videos', { body: { prompt: BALL, webhook } });
        await expect(refusal).rejects.toMatchObject({
          status: 400,
          param: 'webhook',
          message: expect.stringContaining('--allow-local-webhooks'),
        });
        const lines = client.post('/backfills', { body: { prompts: [BALL], webhook } });
        await expect(lines).rejects.toMatchObject({ status: 400, param: 'webhook' });
      }
      const { data } = await client.videos.list();
      expect(data).toEqual([]);
    },
    TEST_TIMEOUT,
  );

  test(
    'backfills run, their dry run foresees their hits, and webhooks arrive signed',
    async () => {
      const { server, client: clientOf } = await serve(await temporaryFolder(), {
        allowLocalWebhooks: true,
      });
      const client = await clientOf('acme');
      const received: { headers: Record<string, string>; body: string }[] = [];
      const receiver = createServer((request, response) => {
        let body = '';
        request.on('data', (chunk: Buffer) => (body += chunk.toString()));
        request.on('end', () => {
          received.push({ headers: request.headers as Record<string, string>, body });
          response.writeHead(204).end();
        });
      }).listen(0, '127.0.0.1');
      onTestFinished(() => void receiver.close());
      await once(receiver, 'listening');
      const webhook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;

      const prompts = [{ prompt: BALL, seed: 1 }, BALL, { prompt: STAR, seed: 2 }];
      const post = (body: object): Promise<WireBackfill> =>
        client.post('/backfills', { body: { prompts, ...body } });
      expect(await post({ dry_run: true })).toMatchObject({ lines: 3, rejected: 0 });

      const { id } = await post({ concurrency: 1, webhook });
      const read = (): Promise<WireBackfill> => client.get(`/backfills/${id}`);
      await until(async () => (await read()).status === 'completed');
      const backfill = await read();
      expect(backfill).toMatchObject({
        lines: 3,
        counts: { completed: 3, failed: 0 },
        hits: { miss: 2, background: 1 },
      });
      const manifest = await fetch(backfill.results_url!);
      expect(manifest.status).toBe(200);
      expect(await post({ dry_run: true })).toMatchObject({ already_there: 3, steps_run: 0 });

      await until(async () => received.length > 0);
      const { webhookSecret } = (await server.cloud.services.tenants.getTenant('acme'))!;
      const [{ headers, body }] = received as [(typeof received)[0]];
      expect(new Webhook(webhookSecret).verify(body, headers)).toMatchObject({
        type: 'backfill.completed',
        data: { id },
      });
    },
    TEST_TIMEOUT,
  );

  test('addresses of objects that were changed or have expired open nothing', async () => {
    const { server } = await serve(await temporaryFolder());
    await server.cloud.objects.put('videos/a/1.mp4', Buffer.from('0123456789'));
    await server.cloud.objects.put('latents/a/1.fcl', Buffer.from('secret'));
    const link = (seconds: number): Promise<string> =>
      server.cloud.objects.presign('videos/a/1.mp4', {
        expiresSeconds: seconds,
        contentType: 'video/mp4',
      });
    const address = await link(60);
    expect(await (await fetch(address)).text()).toBe('0123456789');
    for (const changed of [
      address.replace('videos/a/1.mp4', 'latents/a/1.fcl'),
      address.replace(/expires=\d+/, 'expires=9999999999'),
      address.replace('video%2Fmp4', 'text%2Fhtml'),
      address.replace(/signature=.*/, 'signature=AAAA'),
      address.replace(/\?.*/, ''),
      await link(-10),
    ]) {
      expect((await fetch(changed)).status).toBe(403);
    }
    const ranges = await Promise.all(
      ['bytes=2-3', 'bytes=8-', 'bytes=-3', 'bytes=10-', 'bytes=0-1,4-5', 'x'].map(
        async (range) => {
          const response = await fetch(address, { headers: { range } });
          return [response.status, await response.text()];
        },
      ),
    );
    expect(ranges).toEqual([
      [206, '23'],
      [206, '89'],
      [206, '789'],
      [416, ''],
      [200, '0123456789'],
      [200, '0123456789'],
    ]);
  });
});
