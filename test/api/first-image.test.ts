import { createHash } from 'node:crypto';
import { toFile } from 'openai';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { imageObjectKey } from '#core/requests/identity.ts';
import { MAX_IMAGE_BYTES } from '#core/requests/first-image.ts';
import { modelListSchema } from '#functions/api/schemas/service.ts';
import type { WireVideo } from '#functions/shared/resources/schemas/video.ts';
import { takeFirstImages, writeTinyPackage } from '../models/tiny-package.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { sampleEntry } from '../aws/samples.ts';
import { useApi, type ApiFixture } from './fixture.ts';
import { ended, serve } from './serve-fixture.ts';

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]);
const OTHER = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2]);

const sha256 = (file: Buffer): string => createHash('sha256').update(file).digest('hex');

/** An image as a request in JSON has it. */
const dataUrl = (file: Buffer, type = 'image/png') => ({
  image_url: `data:${type};base64,${file.toString('base64')}`,
});

const api = useApi();

/** The API of a package that takes first images. */
function withImages(): ApiFixture {
  const fixture = api();
  const { manifest } = fixture.services;
  fixture.services.manifest = { ...manifest, files: { ...manifest.files, imageEncoder: [] } };
  return fixture;
}

describe('input_reference', () => {
  test('is stored before its videos are started, and named in them by its sha256', async () => {
    const { create, workflow, services, table } = withImages();
    const start = workflow.start.bind(workflow);
    const stored: boolean[] = [];
    workflow.start = async (request, attempt) => {
      stored.push(
        (await services.objects.head(imageObjectKey(request.videoId, request.image!))) !== null,
      );
      await start(request, attempt);
    };

    const { status, body } = await create({ input_reference: dataUrl(PNG), n: 2 });

    expect(status).toBe(200);
    expect(stored).toEqual([true, true]);
    expect(workflow.started.map(({ request }) => request.image)).toEqual([
      sha256(PNG),
      sha256(PNG),
    ]);
    for (const video of body.data as WireVideo[]) {
      expect(video.input_reference_sha256).toBe(sha256(PNG));
      expect((await table.getJob(video.id))!.image).toBe(sha256(PNG));
    }
  });

  test('may be a file of a form, or a data URL in one', async () => {
    const { call, workflow } = withImages();
    const file = new FormData();
    file.set('prompt', 'a red ball');
    file.set('input_reference', new File([PNG], 'first.png', { type: 'image/png' }));
    const url = new FormData();
    url.set('prompt', 'a red ball');
    url.set('input_reference[image_url]', dataUrl(OTHER, 'image/jpeg').image_url);

    const answers = [
      await call('POST', '/v1/videos', { form: file }),
      await call('POST', '/v1/videos', { form: url }),
    ];

    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(workflow.started.map(({ request }) => request.image)).toEqual([
      sha256(PNG),
      sha256(OTHER),
    ]);
  });

  test('belongs to what an idempotency key was used for', async () => {
    const { create } = withImages();
    const headers = { 'idempotency-key': 'first' };
    const ask = (file: Buffer) => create({ input_reference: dataUrl(file) }, { headers });

    const [first, again, other] = [await ask(PNG), await ask(PNG), await ask(OTHER)];

    expect(again.body.id).toBe(first.body.id);
    expect(other.status).toBe(409);
    expect(other.body.error).toMatchObject({ code: 'idempotency_key_used' });
  });

  test.each([
    [
      'an address elsewhere',
      { image_url: 'https://example.com/a.png' },
      'input_reference.image_url',
      /nothing|no file is fetched/,
    ],
    [
      'base64 that is none',
      { image_url: 'data:image/png;base64,???' },
      'input_reference.image_url',
      /data URL/,
    ],
    ['another file', dataUrl(Buffer.from('text')), 'input_reference', /no PNG, JPEG or WebP/],
    [
      'a large file',
      dataUrl(Buffer.concat([PNG, Buffer.alloc(MAX_IMAGE_BYTES)])),
      'input_reference',
      /at most 4194304/,
    ],
    [
      'the id of a file',
      { ...dataUrl(PNG), file_id: 'file-1' },
      'input_reference.file_id',
      /no parameter/,
    ],
    ['an address alone', 'https://example.com/a.png', 'input_reference', /object/],
  ])('is refused where it is %s', async (_, reference, param, message) => {
    const { create, workflow } = withImages();

    const { status, body } = await create({ input_reference: reference });

    expect(status).toBe(400);
    expect(body.error).toMatchObject({ param, message: expect.stringMatching(message) });
    expect(workflow.started).toEqual([]);
  });

  test('is refused by name where the package makes videos of a prompt alone', async () => {
    const { create, call } = api();

    const { status, body } = await create({ input_reference: dataUrl(PNG) });
    const models = await call('GET', '/v1/models');

    expect(status).toBe(400);
    expect(body.error).toMatchObject({
      code: 'invalid_input',
      param: 'input_reference',
      message: expect.stringContaining('demo-world makes videos of a prompt alone'),
    });
    expect(models.body.data[0].supports.input_reference).toBe(false);
  });

  test('of a remix is that of its video', async () => {
    const { create, call, complete, table } = withImages();
    const made = await create({ input_reference: dataUrl(PNG) });
    const job = await complete(made.body.id);
    const { compatibilityKey, tenant } = job;
    const entry = sampleEntry({ entryId: made.body.id, compatibilityKey, tenant });
    await table.putEntry(entry);
    const remix = (fields: object) =>
      call('POST', `/v1/videos/${made.body.id}/remix`, {
        json: { prompt: 'a blue ball', ...fields },
      });

    const same = await remix({ input_reference: dataUrl(PNG) });
    const others = [await remix({}), await remix({ input_reference: dataUrl(OTHER) })];

    expect(same.status).toBe(200);
    expect(same.body.input_reference_sha256).toBe(sha256(PNG));
    for (const { status, body } of others) {
      expect(status).toBe(400);
      expect(body.error).toMatchObject({
        param: 'input_reference',
        message: expect.stringContaining('send the same input_reference'),
      });
    }
  });
});

test('the official client makes a video of a file, which the worker reads', async () => {
  const { client: clientOf } = await serve(await temporaryFolder(), {
    modelDirectory: await writeTinyPackage(takeFirstImages),
  });
  const client = await clientOf('acme');
  const background = { r: 255, g: 0, b: 0 };
  const file = await sharp({ create: { width: 40, height: 40, channels: 3, background } })
    .png()
    .toBuffer();
  const make = async (): Promise<WireVideo> => {
    const { id } = await client.videos.create({
      prompt: 'a red ball over the meadow',
      input_reference: await toFile(file, 'first.png', { type: 'image/png' }),
      // @ts-expect-error The client does not know it.
      extra_params: { seed: 7 },
    });
    return ended(client, id);
  };

  const models = modelListSchema.parse(await client.get('/models'));
  const [first, again] = [await make(), await make()];

  expect(models.data[0]!.supports.input_reference).toBe(true);
  expect(first).toMatchObject({
    status: 'completed',
    input_reference_sha256: sha256(file),
    cache: { hit: 'miss' },
  });
  expect(again).toMatchObject({ status: 'completed', cache: { hit: 'exact' } });
}, 120_000);
