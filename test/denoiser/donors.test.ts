import { beforeEach, describe, expect, it } from 'vitest';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { likelyPrefixBytes, prefixBytes, readHeader } from '#codec/header.ts';
import { LAYERS } from '#codec/layers.ts';
import { composeDonors } from '#core/latents/compose.ts';
import type { Donor } from '#core/generation.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { renoise } from '#core/latents/schedule.ts';
import { donorParts, donorReading, loadDonors } from '#denoiser/donors.ts';
import { SampleRun } from '#models/sample-run.ts';
import { UsageMeter } from '#ports/usage-meter.ts';
import { COMPATIBILITY_KEY, movingObject } from '../codec/latents.ts';
import { MemoryObjects } from './fakes.ts';

const SHAPE = [16, 8, 16, 16] as const;
const EXPECTED = { compatibilityKey: COMPATIBILITY_KEY, shape: SHAPE };
const STORED = movingObject(3, [...SHAPE]);
// White texture of unit size would be rougher than any video.
STORED.latent.data.forEach((value, index) => (STORED.latent.data[index] = 0.6 * value));
const FILE = encodeLatent(STORED);
const HEADER = readHeader(FILE, EXPECTED);

const donor = (part: Donor['part'], latentKey = 'a'): Donor => ({
  entryId: `entry-${latentKey}`,
  part,
  similarity: 0.9,
  latentKey,
});

let objects: MemoryObjects;
beforeEach(async () => {
  objects = new MemoryObjects();
  await objects.put('a', FILE);
});

async function load(startTime: number, anchor: 'none' | 'background' = 'none') {
  const meter = new UsageMeter();
  const reading = donorReading({ startTime, anchor, seed: 5 }, {});
  const donors = await meter.run(() => loadDonors([donor('whole')], objects, EXPECTED, reading));
  return { ...donors, usage: meter.usage };
}

describe('loadDonors', () => {
  it('fetches in one request what the start time needs of a latent', async () => {
    for (const [startTime, layers] of [
      [0.95, 1],
      [0.6, 1],
      [0.3, 2],
    ] as const) {
      const { loaded, usage } = await load(startTime);
      const likely = likelyPrefixBytes(SHAPE, layers);
      const expected = decodeLatent(FILE, EXPECTED, { layers, noiseSeed: 5 });
      expect(loaded[0]!.latent).toEqual(expected);
      expect(prefixBytes(HEADER, layers)).toBeLessThan(FILE.length);
      expect(usage).toEqual({ objectGets: 1, objectBytesRead: Math.min(likely, FILE.length) });
    }
  });

  it('fetches all of a donor whose background is shown, and reads it without noise', async () => {
    for (const { loaded, usage } of [await load(0.95, 'background'), await load(0.1)]) {
      expect(usage).toEqual({ objectGets: 1, objectBytesRead: FILE.length });
      expect(loaded).toHaveLength(1);
    }
    const { loaded } = await load(0.95, 'background');
    expect(loaded[0]!.latent).toEqual(decodeLatent(FILE, EXPECTED));
  });

  it('asks a second time for what a larger latent lacks', async () => {
    const noise = { data: standardNormalNoise([...SHAPE], 1, 'rough').data, shape: SHAPE };
    noise.data.forEach((value, index) => (noise.data[index] = 3 * value));
    const rough = encodeLatent({ ...STORED, latent: noise });
    await objects.put('a', rough);
    const needed = prefixBytes(readHeader(rough, EXPECTED), 1);
    expect(needed).toBeGreaterThan(likelyPrefixBytes(SHAPE, 1));

    const { loaded, usage } = await load(0.7);

    expect(loaded).toHaveLength(1);
    expect(usage).toEqual({ objectGets: 2, objectBytesRead: needed });
  });

  it('drops a donor that was cut or grown, wherever', async () => {
    for (const length of [10, 100, prefixBytes(HEADER, 1) - 1, FILE.length - 1]) {
      objects.bodies.set('a', FILE.slice(0, length));
      const { dropped } = await load(0.7);
      expect(dropped.map(({ error }) => error.code)).toEqual(['latent_corrupt']);
    }
    objects.bodies.set('a', new Uint8Array([...FILE, 0]));
    expect((await load(0.7)).dropped).toHaveLength(1);
  });

  it('does not miss what it does not read', async () => {
    objects.bodies.get('a')![FILE.length - 1]! ^= 1;
    expect((await load(0.7)).loaded).toHaveLength(1);
    expect((await load(0.1)).dropped.map(({ error }) => error.code)).toEqual(['latent_corrupt']);
  });
});

describe('donorParts', () => {
  const read = (layers: number) => decodeLatent(FILE, EXPECTED, { layers, noiseSeed: 5 });

  it('knows how much noise there is at each position', () => {
    const latent = read(1);
    const inside = latent.dilatedMask.data;
    const whole = donorParts([{ donor: donor('whole'), latent }])!;
    expect(new Set(whole.errorVariance!.data)).toEqual(new Set([Math.fround(25 / 12)]));
    const background = donorParts([{ donor: donor('background'), latent }])!;
    expect(background.errorVariance!.data).toEqual(
      inside.map((value) => (value === 1 ? 0 : 25 / 12)),
    );
    const object = donorParts([{ donor: donor('object'), latent }])!;
    expect(object.errorVariance!.data).toEqual(inside.map((value) => (value === 1 ? 25 / 12 : 0)));
    const shown = decodeLatent(FILE, EXPECTED);
    expect(donorParts([{ donor: donor('whole'), latent: shown }])!.errorVariance).toBeNull();
    expect(donorParts([])).toBeNull();
  });

  it.each([0.6, 0.7, 0.95])('gives a run at %d the noise of its time', (startTime) => {
    const donors = donorParts([{ donor: donor('whole'), latent: read(1) }])!;
    const plan = { startTime, steps: 2, seed: 5, solver: 'euler', anchor: 'none' } as const;
    const { latent } = new SampleRun(plan, { latentShape: SHAPE, donors }).state;

    const { data } = STORED.latent;
    const variance =
      latent.data.reduce(
        (sum, value, index) => sum + (value - (1 - startTime) * data[index]!) ** 2,
        0,
      ) / data.length;
    // The dead zone's share comes on top.
    expect(variance / startTime ** 2).toBeGreaterThan(0.98);
    expect(variance / startTime ** 2).toBeLessThan(1.06);
  });

  it('adds the noise that donors lack: none of their own is the same as before', () => {
    const shown = decodeLatent(FILE, EXPECTED);
    const donors = donorParts([{ donor: donor('whole'), latent: shown }])!;
    const plan = { startTime: 0.7, steps: 2, seed: 5, solver: 'euler', anchor: 'none' } as const;
    const { latent } = new SampleRun(plan, { latentShape: SHAPE, donors }).state;
    const noise = standardNormalNoise([...SHAPE], 5, 'start');
    expect(latent).toEqual(renoise(composeDonors(shown, shown.background), 0.7, noise));
    expect(donorReading({ startTime: 0.2, anchor: 'none', seed: 1 }, {}).layers).toBe(LAYERS);
  });
});
