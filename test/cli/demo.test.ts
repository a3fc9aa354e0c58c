import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createH264MP4Encoder } from 'h264-mp4-encoder';
import sharp from 'sharp';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { collect } from '#cli/collect.ts';
import { openRequests } from '#cli/open-requests.ts';
import { findChromium, openPage } from './browser.ts';
import type { FakeOptions } from './fake-cloud.ts';
import { inProcess, interruptAtVideo } from './harness.ts';

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const PROMPTS = join(import.meta.dirname, '..', '..', 'cli', 'demo-prompts.jsonl');
const SIDE = 64;
const FRAMES = 16;

let media: Required<Pick<FakeOptions, 'mp4' | 'webp' | 'png'>>;

beforeAll(async () => {
  const frames = Array.from({ length: FRAMES }, (_, index) => {
    const pixels = Buffer.alloc(SIDE * SIDE * 4, 255);
    for (let pixel = 0; pixel < SIDE * SIDE; pixel++) {
      const isBall = Math.hypot((pixel % SIDE) - 4 * index, Math.floor(pixel / SIDE) - 32) < 10;
      pixels.set(isBall ? [220, 40, 40] : [60, 150, 80], pixel * 4);
    }
    return pixels;
  });
  const encoder = await createH264MP4Encoder();
  Object.assign(encoder, { width: SIDE, height: SIDE, frameRate: 8 });
  encoder.initialize();
  for (const frame of frames) encoder.addFrameRgba(frame);
  encoder.finalize();
  const raw = { width: SIDE, height: SIDE, channels: 4 as const };
  media = {
    mp4: encoder.FS.readFile(encoder.outputFilename),
    png: await sharp(frames[0], { raw }).png().toBuffer(),
    webp: await sharp(Buffer.concat(frames), {
      raw: { ...raw, height: SIDE * FRAMES, pageHeight: SIDE },
    })
      .webp({ loop: 0, delay: frames.map(() => 125) })
      .toBuffer(),
  };
});

describe('the shipped list', () => {
  test('is valid throughout and repeats exactly one request', async () => {
    const lines = await collect((await openRequests(PROMPTS)).lines());

    const requests = lines.map((line) => JSON.stringify('request' in line ? line.request : null));

    expect(requests).toHaveLength(24);
    expect(requests).not.toContain('null');
    expect(new Set(requests).size).toBe(23);
    expect(requests.at(-1)).toBe(requests[2]);
  });
});

describe('the demo', () => {
  test('writes one page with every video and donor that refers to nothing outside itself', async () => {
    const { flexcache, folder } = await inProcess(media);

    const { exitCode, stdout } = await flexcache('demo');

    expect(exitCode).toBe(0);
    const page = join(folder, 'flexcache-demo', 'index.html');
    expect(stdout).toContain(page);
    const html = await readFile(page, 'utf8');
    expect(html.match(/<video /g)).toHaveLength(24);
    expect(html.match(/<img /g)).toHaveLength(12);
    expect(html).not.toMatch(/https?:|url\(|@import|<link rel="stylesheet"|<script src/i);
    const sources = [...html.matchAll(/(?:src|href|poster|srcset)="([^"]{0,40})/g)].map(
      ([, source]) => source!,
    );
    expect(sources.filter((source) => !/^(data:|#video-\d+$)/.test(source))).toEqual([]);
    expect(await readdir(join(folder, 'flexcache-demo', 'videos'))).toHaveLength(24);
  });

  test('shows prompts as text, whatever they hold', async () => {
    const { flexcache, folder } = await inProcess(media);
    await writeFile(join(folder, 'p.txt'), '<script>alert("a")</script> & "ball"\n');

    await flexcache('demo', '--prompts', 'p.txt');

    const html = await readFile(join(folder, 'flexcache-demo', 'index.html'), 'utf8');
    expect(html).toContain(
      '&lt;script&gt;alert(&quot;a&quot;)&lt;/script&gt; &amp; &quot;ball&quot;',
    );
    expect(html).not.toContain('<script>alert');
  });

  test('starts from an empty cache when it is run again', async () => {
    const { flexcache, clouds } = await inProcess();

    await flexcache('demo');
    const { exitCode, stdout } = await flexcache('demo');

    expect(exitCode).toBe(0);
    expect(stdout).toContain('24 completed (0 already there)');
    expect(clouds[1]!.videosMade).toBe(24);
  });

  test('goes on after an interrupt, and begins anew with --fresh', async () => {
    const harness = await inProcess();

    interruptAtVideo(harness, 3);
    const first = await harness.flexcache('demo');
    interruptAtVideo(harness, 2);
    const fresh = await harness.flexcache('demo', '--fresh');
    const last = await harness.flexcache('demo');

    expect(first.exitCode).toBe(130);
    expect(first.stderr).toMatch(
      /stopped after 3 of 24 videos: run the same command again to go on\n$/,
    );
    expect(fresh.exitCode).toBe(130);
    expect(harness.clouds[1]!.videosMade).toBe(2);
    expect(last.exitCode).toBe(0);
    expect(last.stdout).toContain('24 completed (2 already there)');
  });

  test('never empties a folder that it did not make', async () => {
    const { flexcache, folder } = await inProcess();
    const mine = join(folder, 'mine', 'state');
    await mkdir(mine, { recursive: true });

    const { exitCode, stderr } = await flexcache('demo', '--out', 'mine', '--fresh');

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^flexcache: invalid_input: .+ was not made by the demo/);
    expect(existsSync(mine)).toBe(true);
  });
});

const chromium = findChromium();
if (chromium === null) {
  console.warn('the page is not opened: no chromium in PATH, and FLEXCACHE_CHROMIUM is not set');
}

describe.skipIf(chromium === null)('the page in a browser', () => {
  test('plays every video, fetches nothing and fits a small screen, each time it is opened', async (context) => {
    const { flexcache, folder } = await inProcess(media);
    await flexcache('demo');
    const url = pathToFileURL(join(folder, 'flexcache-demo', 'index.html')).href;

    for (let opening = 0; opening < 2; opening++) {
      const page = await openPage(chromium!, url);
      try {
        const playsH264 = await page.evaluate<string>(
          `document.createElement('video').canPlayType('video/mp4; codecs="avc1.42E01E"')`,
        );
        if (playsH264 === '') context.skip('this Chromium was built without H.264');
        const playing = await page.evaluate<boolean[]>(PLAYED);

        expect(playing).toEqual(Array.from({ length: 24 }, () => true));
        expect(
          await page.evaluate('[...document.images].every((image) => image.naturalWidth > 0)'),
        ).toBe(true);
        expect(page.requests).toEqual([]);
        expect(page.exceptions).toEqual([]);
        const shot = await page.screenshot(360, 800);
        expect(shot.length).toBeGreaterThan(0);
        expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(
          true,
        );
      } finally {
        await page.close();
      }
    }
  }, 60_000);
});

/** Whether each video moves on within ten seconds. */
const PLAYED = `Promise.all([...document.querySelectorAll('video')].map((video) => new Promise((resolve) => {
  const began = video.currentTime;
  const deadline = setTimeout(() => resolve(false), 10000);
  video.addEventListener('timeupdate', () => {
    if (video.currentTime === began || video.videoWidth === 0) return;
    clearTimeout(deadline);
    resolve(true);
  });
})))`;
