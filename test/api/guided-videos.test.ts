import { expect, test } from 'vitest';
import { modelListSchema } from '#functions/api/schemas/service.ts';
import type { WireVideo } from '#functions/shared/resources/schemas/video.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { ended, serve } from './serve-fixture.ts';

/** Real videos take seconds, and more on a busy machine. */
const TEST_TIMEOUT = 240_000;

const PROMPT = 'a small blue ball rising over the ocean at dawn';

test(
  'videos of other guidance are made anew, and answer their own request alone',
  async () => {
    const { client: clientOf } = await serve(await temporaryFolder());
    const client = await clientOf('acme');
    const ask = (fields: object) => {
      const asked = { prompt: PROMPT, extra_params: { seed: 7, steps: 3, ...fields } };
      return client.videos.create(asked);
    };
    const make = async (fields: object): Promise<WireVideo> =>
      ended(client, (await ask(fields)).id);
    const bytesOf = async ({ id }: WireVideo): Promise<Buffer> =>
      Buffer.from(await (await client.videos.downloadContent(id)).arrayBuffer());

    const plain = await make({});
    const scaled = await make({ guidance_scale: 5 });
    const negative = await make({ negative_prompt: 'a large red star' });

    const misses = [plain, scaled, negative];
    for (const { status, cache } of misses) {
      expect([status, cache.hit, cache.donors]).toEqual(['completed', 'miss', []]);
    }
    expect(misses.map((video) => [video.guidance_scale, video.negative_prompt])).toEqual([
      [null, null],
      [5, null],
      [null, 'a large red star'],
    ]);
    const files = await Promise.all(misses.map(bytesOf));
    expect(new Set(files.map((file) => file.toString('base64'))).size).toBe(3);

    const answers = [
      await make({ guidance_scale: 3, negative_prompt: '' }),
      await make({ guidance_scale: 5 }),
      await make({ negative_prompt: ' a large  red star' }),
    ];
    expect(answers.map(({ cache }) => [cache.hit, cache.donors[0]!.id])).toEqual(
      misses.map(({ id }) => ['exact', id]),
    );

    await expect(ask({ num_frames: 81 })).rejects.toMatchObject({
      status: 400,
      param: 'num_frames',
      message: expect.stringContaining('demo-world makes 16: give 16'),
    });
    const { data, object } = modelListSchema.parse(await client.get('/models'));
    expect([object, data.map(({ num_frames }) => num_frames)]).toEqual(['list', [[16]]]);
  },
  TEST_TIMEOUT,
);
