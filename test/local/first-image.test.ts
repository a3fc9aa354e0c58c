import sharp from 'sharp';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { decodeLatent } from '#codec/decode-latent.ts';
import type { Job } from '#core/generation.ts';
import { imageObjectKey } from '#core/requests/identity.ts';
import { openEmbeddedCloud, type EmbeddedCloud } from '#local/embedded-cloud.ts';
import { takeFirstImages, TINY_LATENT, writeTinyPackage } from '../models/tiny-package.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const PROMPT = 'a red ball over the meadow';
const [, FRAMES, HEIGHT, WIDTH] = TINY_LATENT;

/** A PNG of one colour. */
function plain(r: number, g: number, b: number): Promise<Buffer> {
  return sharp({ create: { width: 48, height: 32, channels: 3, background: { r, g, b } } })
    .png()
    .toBuffer();
}

describe('a package that takes first images', () => {
  let red: Buffer;
  let blue: Buffer;

  beforeAll(async () => {
    [red, blue] = await Promise.all([plain(255, 0, 0), plain(0, 0, 255)]);
  });

  async function open(directory: string): Promise<EmbeddedCloud> {
    const cloud = await openEmbeddedCloud({
      stateDirectory: await temporaryFolder(),
      modelDirectory: directory,
    });
    onTestFinished(() => cloud.close());
    return cloud;
  }

  it('begins a video with its image, and reuses nothing that was made with another', async () => {
    // Prepare
    const cloud = await open(await writeTinyPackage(takeFirstImages));
    const make = (seed: number, imageFile?: Buffer): Promise<Job> =>
      cloud.generate({ prompt: PROMPT, seed, ...(imageFile && { imageFile }) });

    // Act
    const first = await make(1, red);
    const again = await make(1, red);
    const otherSeed = await make(2, red);
    const otherImage = await make(1, blue);
    const noImage = await make(1);

    // Assess
    expect(first).toMatchObject({ status: 'completed', result: { hit: 'miss' } });
    expect(again.result).toMatchObject({ hit: 'exact', donors: [{ entryId: first.videoId }] });
    expect(otherSeed.result).toMatchObject({
      hit: 'whole',
      donors: [{ entryId: first.videoId, part: 'whole' }],
    });
    expect(otherImage.result).toMatchObject({ hit: 'miss', donors: [] });
    expect(noImage.result).toMatchObject({ hit: 'miss', donors: [] });
    expect(new Set([first, otherImage, noImage].map((job) => job.compatibilityKey)).size).toBe(3);
    for (const [job, colours] of [
      [first, [1, 0, 0]],
      [otherImage, [0, 0, 1]],
    ] as const) {
      const entry = await cloud.table.getEntry(job.videoId);
      const file = await cloud.objects.get(entry!.latentKey);
      const { compatibilityKey } = job;
      const { data } = decodeLatent(file, { compatibilityKey }).whole;
      const found = colours.map((_, channel) => data[channel * FRAMES * HEIGHT * WIDTH]!);
      for (const [channel, colour] of colours.entries()) {
        expect(found[channel]).toBeCloseTo(colour, 0);
      }
    }
  }, 60_000);

  it('fails a video whose image cannot be decoded, by the name of the field', async () => {
    const cloud = await open(await writeTinyPackage(takeFirstImages));

    const job = await cloud.generate({ prompt: PROMPT, imageFile: red.subarray(0, 40) });

    expect(job).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_input', message: expect.stringContaining('cannot be read') },
    });
  }, 60_000);

  it('stores the image before the job, and goes on with it after a crash', async () => {
    const modelDirectory = await writeTinyPackage(takeFirstImages);
    const stateDirectory = await temporaryFolder();
    const cloud = await openEmbeddedCloud({ stateDirectory, modelDirectory });
    const started = Promise.withResolvers<string>();
    const made = cloud.generate({ prompt: PROMPT, imageFile: red }, ({ videoId }) =>
      started.resolve(videoId),
    );
    made.catch(() => {});
    const videoId = await started.promise;
    const { image } = (await cloud.table.getJob(videoId))!;
    expect(await cloud.objects.get(imageObjectKey(videoId, image!))).toEqual(new Uint8Array(red));
    await cloud.close();

    const next = await openEmbeddedCloud({ stateDirectory, modelDirectory });
    onTestFinished(() => next.close());
    await next.resumeUnfinished();

    expect(await next.finished(videoId)).toMatchObject({ status: 'completed', image });
  }, 60_000);
});

describe('a package of prompts alone', () => {
  it('refuses an image by name', async () => {
    const cloud = await openEmbeddedCloud({
      stateDirectory: await temporaryFolder(),
      modelDirectory: await writeTinyPackage(),
    });
    onTestFinished(() => cloud.close());

    const made = cloud.generate({ prompt: PROMPT, imageFile: await plain(255, 0, 0) });

    await expect(made).rejects.toMatchObject({ code: 'invalid_input', field: 'image' });
  }, 60_000);
});
