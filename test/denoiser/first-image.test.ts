import { createHash } from 'node:crypto';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import { imageObjectKey } from '#core/requests/identity.ts';
import { decodeImage, firstFrameOf } from '#denoiser/first-image.ts';
import { FakeVideoModel, MANIFEST, MemoryObjects, VIDEO_ID } from './fakes.ts';

const RED = [255, 0, 0];
const GREEN = [0, 255, 0];

/** An image of these colours, side by side, each so many pixels wide. */
function stripes(colours: number[][], width: number, height: number): Sharp {
  const row = colours.flatMap((colour) => Array.from({ length: width }, () => colour).flat());
  const data = Buffer.from(Array.from({ length: height }, () => row).flat());
  const channels = colours[0]!.length as 3 | 4;
  return sharp(data, { raw: { width: width * colours.length, height, channels } });
}

describe('decodeImage', () => {
  it('gives the very pixels of an image that has the size of the video', async () => {
    const file = await stripes([RED, [10, 20, 30]], 1, 1)
      .png()
      .toBuffer();

    const { data, shape } = await decodeImage(file, { width: 2, height: 1 });

    expect(shape).toEqual([3, 1, 2]);
    expect([...data].map((value) => Math.round(value * 255))).toEqual([255, 10, 0, 20, 0, 30]);
  });

  it('scales an image to cover the frame, and keeps its middle', async () => {
    const file = await stripes([GREEN, RED, RED, GREEN], 16, 32).jpeg().toBuffer();

    const { data } = await decodeImage(file, { width: 16, height: 16 });

    const [red, green] = [data.subarray(0, 256), data.subarray(256, 512)];
    const inner = (_: number, index: number) => index % 16 > 1 && index % 16 < 14;
    expect(red.filter(inner).every((value) => value > 0.9)).toBe(true);
    expect(green.filter(inner).every((value) => value < 0.1)).toBe(true);
  });

  it('turns it as its camera was held, and shows what is transparent as black', async () => {
    const turned = await stripes([RED, GREEN], 8, 8)
      .withMetadata({ orientation: 3 })
      .png()
      .toBuffer();
    const clear = await stripes([[255, 255, 255, 0]], 8, 8)
      .webp({ lossless: true })
      .toBuffer();

    const first = await decodeImage(turned, { width: 16, height: 8 });
    const second = await decodeImage(clear, { width: 8, height: 8 });

    expect([first.data[0], first.data[15]]).toEqual([0, 1]);
    expect(second.data.every((value) => value === 0)).toBe(true);
  });

  it('refuses a file that only begins like an image', async () => {
    const file = await stripes([RED], 8, 8).png().toBuffer();

    const decoded = decodeImage(file.subarray(0, 40), { width: 8, height: 8 });

    await expect(decoded).rejects.toMatchObject({ code: 'invalid_input', field: 'image' });
  });
});

describe('firstFrameOf', () => {
  const request = (file: Uint8Array) => ({
    videoId: VIDEO_ID,
    image: createHash('sha256').update(file).digest('hex'),
  });

  it('encodes the image that its request brought', async () => {
    const file = await stripes([RED], 16, 16).png().toBuffer();
    const objects = new MemoryObjects();
    const asked = request(file);
    await objects.put(imageObjectKey(VIDEO_ID, asked.image), file);
    const dependencies = { model: new FakeVideoModel(), manifest: MANIFEST, objects };

    const frame = await firstFrameOf(dependencies, asked);

    expect(frame!.shape).toEqual([2, 1, 4, 4]);
    expect(frame!.data.every((value) => value === 11)).toBe(true);
    expect(await firstFrameOf(dependencies, { videoId: VIDEO_ID })).toBeNull();
  });

  it('refuses another file under its name, and none', async () => {
    const objects = new MemoryObjects();
    const asked = request(Buffer.from('asked for'));
    const dependencies = { model: new FakeVideoModel(), manifest: MANIFEST, objects };

    await expect(firstFrameOf(dependencies, asked)).rejects.toMatchObject({
      code: 'object_missing',
    });
    await objects.put(imageObjectKey(VIDEO_ID, asked.image), Buffer.from('another'));
    await expect(firstFrameOf(dependencies, asked)).rejects.toMatchObject({
      code: 'object_corrupt',
    });
  });
});
