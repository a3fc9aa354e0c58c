import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { shownSize } from '#core/requests/shown-size.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { encodeMedia, type VideoMedia } from '#denoiser/media.ts';
import { encodeGroup } from '#denoiser/encode-group.ts';
import { encodeMp4 } from '#denoiser/encode-mp4.ts';
import { toFrames, type Frames } from '#denoiser/frames.ts';
import { findMp4Box, joinMp4, parseMp4Boxes, type Mp4Box } from '#denoiser/mp4-boxes.ts';
import { toYuv420 } from '#denoiser/yuv420.ts';

const FRAMES = 6;
const SIDE = 64;

/** A bright disc that moves over a green ground. */
function discVideo(frames = FRAMES): Tensor {
  const data = new Float32Array(frames * 3 * SIDE * SIDE);
  for (let index = 0; index < data.length; index++) {
    const x = index % SIDE;
    const y = Math.floor(index / SIDE) % SIDE;
    const channel = Math.floor(index / SIDE ** 2) % 3;
    const frame = Math.floor(index / SIDE ** 2 / 3);
    const isDisc = Math.hypot(x - 12 - 8 * frame, y - 32) < 10;
    data[index] = isDisc ? (channel === 0 ? 1 : 0) : channel === 1 ? 0.6 : 0.1;
  }
  return { data, shape: [frames, 3, SIDE, SIDE] };
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

  it('writes an animated WebP with a small page for every frame, at the rate of the video', async () => {
    // Act
    const metadata = await sharp(media.webp).metadata();

    // Assess
    expect(metadata).toMatchObject({ format: 'webp', pages: FRAMES, width: 192, loop: 0 });
    expect(metadata.pageHeight ?? metadata.height).toBe(192);
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

  it('clamps and rounds what a decoder leaves outside of 0..1', () => {
    // Act
    const { rgb } = toFrames({
      data: Float32Array.of(-0.2, 1.3, 0.5, 0.1, 2, -9, 0.999, 0.2, 0, 1, 0.25, 0.75),
      shape: [1, 3, 2, 2],
    });

    // Assess
    expect([...rgb[0]!]).toEqual([0, 255, 0, 255, 0, 255, 128, 255, 64, 26, 51, 191]);
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

describe('a video of many frames', () => {
  const count = 100;
  let frames: Frames;
  let boxes: Mp4Box[];
  let mp4: Uint8Array;

  beforeAll(async () => {
    frames = toFrames(discVideo(count));
    mp4 = await encodeMp4(frames, 8);
    boxes = parseMp4Boxes(mp4);
  });

  it('is encoded in groups whose samples follow one another', async () => {
    // Act
    const groups = await Promise.all(
      [
        [0, 33],
        [33, 67],
        [67, 100],
      ].map(([from, to]) =>
        encodeGroup({
          frames: { ...frames, rgb: frames.rgb.slice(from, to) },
          framesPerSecond: 8,
        }),
      ),
    );

    // Assess
    const samples = (file: Uint8Array): Buffer => findMp4Box(parseMp4Boxes(file), 'mdat').payload;
    expect(Buffer.compare(samples(mp4), Buffer.concat(groups.map(samples)))).toBe(0);
  });

  it('can be sought at the start of every group', () => {
    const sync = findMp4Box(boxes, 'moov/trak/mdia/minf/stbl/stss').payload;
    expect(sync.readUInt32BE(4)).toBe(3);
    expect([8, 12, 16].map((at) => sync.readUInt32BE(at))).toEqual([1, 34, 68]);
  });

  it('lasts as long as all of its frames', () => {
    const movie = findMp4Box(boxes, 'moov/mvhd').payload;
    const track = findMp4Box(boxes, 'moov/trak/mdia/mdhd').payload;
    const sizes = findMp4Box(boxes, 'moov/trak/mdia/minf/stbl/stsz').payload;
    expect(movie.readUInt32BE(16) / movie.readUInt32BE(12)).toBeCloseTo(count / 8, 2);
    expect(track.readUInt32BE(16) / track.readUInt32BE(12)).toBeCloseTo(count / 8, 2);
    expect(sizes.readUInt32BE(8)).toBe(count);
  });

  it('does not depend on which thread encodes which group', async () => {
    const [one, other] = await Promise.all([encodeMp4(frames, 8), encodeMp4(frames, 8)]);
    expect(Buffer.compare(one, mp4)).toBe(0);
    expect(Buffer.compare(other, mp4)).toBe(0);
  });

  it('is refused when its groups were encoded differently', async () => {
    // Prepare
    const [first, second] = await Promise.all(
      [frames, { width: 32, height: 32, rgb: [new Uint8Array(32 * 32 * 3)] }].map((group) =>
        encodeGroup({ frames: group, framesPerSecond: 8 }),
      ),
    );

    // Act & Assess
    expect(() => joinMp4([first!, second!])).toThrow('encoded differently');
  });
});

it('encodes a video of one frame', async () => {
  // Act: the encoder writes no table of sizes where all samples have one.
  const boxes = parseMp4Boxes(await encodeMp4(toFrames(discVideo(1)), 8));

  // Assess
  const sizes = findMp4Box(boxes, 'moov/trak/mdia/minf/stbl/stsz').payload;
  expect(sizes.readUInt32BE(4)).toBe(0);
  expect(sizes.readUInt32BE(8)).toBe(1);
  expect(sizes.readUInt32BE(12)).toBe(findMp4Box(boxes, 'mdat').payload.length);
});

describe('toYuv420', () => {
  /** ITU-R BT.601, studio range, of 8-bit white, black and the three primaries. */
  it.each([
    ['white', [255, 255, 255], [235, 128, 128]],
    ['black', [0, 0, 0], [16, 128, 128]],
    ['red', [255, 0, 0], [81, 90, 240]],
    ['green', [0, 255, 0], [145, 54, 34]],
    ['blue', [0, 0, 255], [41, 240, 110]],
  ])('knows %s', (_, pixel, expected) => {
    const rgb = Uint8Array.from([pixel, pixel, pixel, pixel].flat());
    const planes = toYuv420(rgb, { width: 2, height: 2 });
    expect([...planes]).toEqual([...Array(4).fill(expected[0]), ...expected.slice(1)]);
  });

  it('lays out planes one behind the other, and gives four pixels the mean of their chroma', () => {
    // Prepare: two columns of black, then one white and one blue, over two rows.
    const row = [0, 0, 0, 0, 0, 0, 255, 255, 255, 0, 0, 255];

    // Act
    const planes = toYuv420(Uint8Array.from([...row, ...row]), { width: 4, height: 2 });

    // Assess
    expect([...planes]).toEqual([16, 16, 235, 41, 16, 16, 235, 41, 128, 184, 128, 119]);
  });
});

describe('parseMp4Boxes', () => {
  it('refuses a torn file', () => {
    expect(() => parseMp4Boxes(Buffer.from([0, 0, 0, 99, 102, 116, 121, 112]))).toThrow('torn');
  });
});
