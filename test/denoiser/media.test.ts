import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { shownSize } from '#core/shown-size.ts';
import type { Tensor } from '#core/tensor.ts';
import { encodeMedia, type VideoMedia } from '#denoiser/media.ts';
import { findMp4Box, parseMp4Boxes, type Mp4Box } from '#denoiser/mp4-boxes.ts';

const FRAMES = 6;
const SIDE = 64;

/** A bright disc that moves over a green ground. */
function discVideo(): Tensor {
  const data = new Float32Array(FRAMES * 3 * SIDE * SIDE);
  for (let index = 0; index < data.length; index++) {
    const x = index % SIDE;
    const y = Math.floor(index / SIDE) % SIDE;
    const channel = Math.floor(index / SIDE ** 2) % 3;
    const frame = Math.floor(index / SIDE ** 2 / 3);
    const isDisc = Math.hypot(x - 12 - 8 * frame, y - 32) < 10;
    data[index] = isDisc ? (channel === 0 ? 1 : 0) : channel === 1 ? 0.6 : 0.1;
  }
  return { data, shape: [FRAMES, 3, SIDE, SIDE] };
}

describe('encodeMedia', () => {
  let media: VideoMedia;
  let boxes: Mp4Box[];

  beforeAll(async () => {
    media = await encodeMedia(discVideo(), 8);
    boxes = parseMp4Boxes(media.mp4);
  });

  it('gives equal bytes for equal videos, whenever they are made', async () => {
    // Prepare: the encoder writes the time in seconds.
    await new Promise((resolve) => setTimeout(resolve, 1100));

    // Act
    const again = await encodeMedia(discVideo(), 8);

    // Assess
    expect(Buffer.compare(again.mp4, media.mp4)).toBe(0);
    expect(Buffer.compare(again.webp, media.webp)).toBe(0);
    expect(Buffer.compare(again.png, media.png)).toBe(0);
    expect(Buffer.compare(again.spritesheet, media.spritesheet)).toBe(0);
  });

  it('writes an MP4 whose index comes before its pictures', () => {
    expect(boxes.map(({ type }) => type)).toEqual(['ftyp', 'moov', 'mdat']);
    expect(boxes[0]!.payload.toString('latin1', 0, 4)).toBe('mp42');
  });

  it('has one H.264 track of the shown size, the frames and the rate of the video', () => {
    // Act
    const table = findMp4Box(boxes, 'moov/trak/mdia/minf/stbl');
    const entry = findMp4Box([table], 'stbl/stsd').payload.subarray(8);
    const times = findMp4Box([table], 'stbl/stts').payload;
    const timescale = findMp4Box(boxes, 'moov/trak/mdia/mdhd').payload.readUInt32BE(12);

    // Assess
    expect(entry.toString('latin1', 4, 8)).toBe('avc1');
    const { width, height } = shownSize({ width: SIDE, height: SIDE });
    expect([width, height]).toEqual([384, 384]);
    expect([entry.readUInt16BE(32), entry.readUInt16BE(34)]).toEqual([width, height]);
    expect(entry.includes('avcC')).toBe(true);
    expect(times.readUInt32BE(4)).toBe(1);
    expect(times.readUInt32BE(8)).toBe(FRAMES);
    expect(timescale / times.readUInt32BE(12)).toBeCloseTo(8, 2);
  });

  it('points every sample at whole H.264 units and marks only the first as seekable', () => {
    // Prepare
    const table = findMp4Box(boxes, 'moov/trak/mdia/minf/stbl');
    const sizes = findMp4Box([table], 'stbl/stsz').payload;
    const mp4 = Buffer.from(media.mp4);
    const units: number[][] = [];

    // Act
    let start = findMp4Box([table], 'stbl/stco').payload.readUInt32BE(8);
    expect(mp4.toString('latin1', start - 4, start)).toBe('mdat');
    for (let sample = 0; sample < FRAMES; sample++) {
      const end = start + sizes.readUInt32BE(12 + 4 * sample);
      const types: number[] = [];
      while (start < end) {
        types.push(mp4[start + 4]! & 0x1f);
        start += 4 + mp4.readUInt32BE(start);
      }
      expect(start).toBe(end);
      units.push(types);
    }

    // Assess: 5 is a picture that stands alone, 1 one that needs earlier pictures.
    expect(units).toEqual([[5], ...Array.from({ length: FRAMES - 1 }, () => [1])]);
    expect(findMp4Box([table], 'stbl/stss').payload.toString('hex')).toBe(
      '000000000000000100000001',
    );
    expect(start).toBe(mp4.length);
  });

  it('writes an animated WebP with a page for every frame, at the rate of the video', async () => {
    // Act
    const metadata = await sharp(media.webp).metadata();

    // Assess
    expect(metadata).toMatchObject({ format: 'webp', pages: FRAMES, width: 384, loop: 0 });
    expect(metadata.pageHeight ?? metadata.height).toBe(384);
    expect(metadata.delay).toEqual(Array(FRAMES).fill(125));
  });

  it('writes a poster of the middle frame', async () => {
    // Act
    const { data, info } = await sharp(media.png).raw().toBuffer({ resolveWithObject: true });

    // Assess: frame 3 has its disc at x = 36 of 64.
    const pixelAt = (x: number, y: number) => [...data.subarray((y * 384 + x) * 3).subarray(0, 3)];
    expect(info).toMatchObject({ width: 384, height: 384, channels: 3 });
    expect(pixelAt(36 * 6, 192)).toEqual([255, 0, 0]);
    expect(pixelAt(10, 10)).toEqual([26, 153, 26]);
  });

  it('writes a spritesheet of all frames, four to a row', async () => {
    // Act
    const { data, info } = await sharp(media.spritesheet)
      .raw()
      .toBuffer({ resolveWithObject: true });

    // Assess: the disc of frame n is at x = 12 + 8 n, y = 32 of 64.
    const isRedAt = (x: number, y: number): boolean => {
      const [red, green] = data.subarray((y * info.width + x) * 3);
      return red! > 200 && green! < 60;
    };
    expect(await sharp(media.spritesheet).metadata()).toMatchObject({ format: 'jpeg' });
    expect(info).toMatchObject({ width: 4 * 192, height: 2 * 192, channels: 3 });
    for (let frame = 0; frame < FRAMES; frame++) {
      const [left, top] = [(frame % 4) * 192, Math.floor(frame / 4) * 192];
      expect(isRedAt(left + 3 * (12 + 8 * frame), top + 96)).toBe(true);
      expect(isRedAt(left + 96, top + 20)).toBe(false);
    }
    // Two cells are left over.
    expect([...data.subarray(((192 + 96) * info.width + 3 * 192) * 3).subarray(0, 3)]).toEqual([
      0, 0, 0,
    ]);
  });

  it('gives a video with odd sides even ones', async () => {
    // Prepare
    const video = { data: new Float32Array(2 * 3 * 401 * 403), shape: [2, 3, 401, 403] };

    // Act
    const { width, height } = await sharp((await encodeMedia(video, 8)).png).metadata();

    // Assess
    expect([width! % 2, height! % 2]).toEqual([0, 0]);
  });

  it('refuses what is not a video', async () => {
    await expect(
      encodeMedia({ data: new Float32Array(4), shape: [1, 4, 1, 1] }, 8),
    ).rejects.toMatchObject({ code: 'invalid_input', field: 'video' });
  });
});

describe('parseMp4Boxes', () => {
  it('refuses a torn file', () => {
    expect(() => parseMp4Boxes(Buffer.from([0, 0, 0, 99, 102, 116, 121, 112]))).toThrow('torn');
  });
});
