import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import { backgroundPart, objectPart } from '#core/latents/compose.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { Donor, Plan } from '#core/generation.ts';
import { requestCompatibilityKey } from '#core/requests/identity.ts';
import { UsageMeter } from '#ports/usage-meter.ts';
import { ObjectCorruptError } from '#ports/errors.ts';
import { generateVideo } from '#denoiser/generate-video.ts';
import {
  COMPATIBILITY_KEY,
  donorFor,
  FakeRegions,
  FakeVideoModel,
  MANIFEST,
  MemoryObjects,
  planFor,
  RecordingControl,
  requestFor,
  SHAPE,
  targetOf,
  VIDEO_ID,
  THRESHOLDS,
  vectorOf,
} from './fakes.ts';

describe('generateVideo', () => {
  let model: FakeVideoModel;
  let objects: MemoryObjects;
  let control: RecordingControl;

  beforeEach(() => {
    model = new FakeVideoModel();
    objects = new MemoryObjects();
    control = new RecordingControl();
  });

  function generate(plan: Plan, request = requestFor('a red ball')) {
    const dependencies = {
      model,
      manifest: MANIFEST,
      calibration: new DefaultCalibration(THRESHOLDS),
      compatibilityKey: COMPATIBILITY_KEY,
      objects,
    };
    return generateVideo(dependencies, request, plan, control);
  }

  async function storeDonor(key: string, compatibilityKey = COMPATIBILITY_KEY): Promise<void> {
    const mask = await model.segment();
    const latent = targetOf(key);
    await objects.put(key, encodeLatent({ latent, mask, compatibilityKey }));
  }

  async function storedPair(): Promise<[object: Donor, background: Donor]> {
    await storeDonor('a');
    await storeDonor('b');
    return [donorFor('object', 'a'), donorFor('background', 'b')];
  }

  it('stores the video, its poster, animation and spritesheet, and the latent under keys of their content', async () => {
    // Act
    const result = await generate(planFor('miss'));

    // Assess
    const hash = (key: string) =>
      createHash('sha256').update(objects.bodies.get(key)!).digest('hex');
    const stem = `videos/${VIDEO_ID}/${hash(result.videoKey).slice(0, 16)}`;
    expect(result).toMatchObject({
      hit: 'miss',
      donors: [],
      startTime: 1,
      stepsRun: 12,
      videoKey: `${stem}.mp4`,
      animationKey: `${stem}.webp`,
      posterKey: `${stem}.png`,
      spritesheetKey: `${stem}.jpg`,
      latentKey: `latents/${VIDEO_ID}/${hash(result.latentKey!).slice(0, 16)}.fcl`,
      latentSha256: hash(result.latentKey!),
      videoBytes: objects.bodies.get(result.videoKey)!.length,
      latentBytes: objects.bodies.get(result.latentKey!)!.length,
    });
    expect([...objects.bodies.keys()].sort()).toEqual(
      [
        result.latentKey,
        result.videoKey,
        result.animationKey,
        result.posterKey,
        result.spritesheetKey,
      ].sort(),
    );
    expect(objects.contentTypes.get(result.videoKey)).toBe('video/mp4');
  });

  it('counts what the bill needs', async () => {
    // Prepare
    const donors = await storedPair();
    const stored = objects.bodies.get('a')!.length + objects.bodies.get('b')!.length;

    // Act
    const meter = new UsageMeter();
    const { work } = await meter.run(() => generate(planFor('object+background', donors)));

    // Assess
    const written = [...objects.bodies].filter(([key]) => key.length > 1);
    expect(work).toEqual({ denoiseSeconds: expect.any(Number), networkEvaluations: 5 });
    expect(meter.usage).toEqual({
      // The two donors, and the checkpoint that is not there.
      objectGets: 3,
      objectBytesRead: stored,
      objectPuts: 5,
      objectBytesWritten: written.reduce((bytes, [, body]) => bytes + body.length, 0),
    });
  });

  it('counts the steps of a region, and what they compute', async () => {
    // Prepare: 3 of the 12 tokens are the object's, which are those of the hole.
    await storeDonor('b');
    model.regions = new FakeRegions(model);
    const plan = { anchor: 'region', startTime: 0.95, steps: 5, equivalents: 2.4 } as const;

    // Act
    const result = await generate(planFor('background', [donorFor('background', 'b')], plan));

    // Assess
    expect(result).toMatchObject({
      hit: 'background',
      anchor: 'region',
      stepsRun: 5,
      equivalentsRun: 2.75,
      work: { networkEvaluations: 5, evaluationEquivalents: 2.75 },
    });
  });

  it('stores a latent that decodes to what was made', async () => {
    // Act
    const { latentKey } = await generate(planFor('miss'));

    // Assess
    const { whole, mask } = decodeLatent(objects.bodies.get(latentKey!)!, {
      compatibilityKey: COMPATIBILITY_KEY,
    });
    const target = targetOf('a red ball');
    const squares = whole.data.reduce((sum, x, i) => sum + (x - target.data[i]!) ** 2, 0);
    expect(Math.sqrt(squares / whole.data.length)).toBeLessThan(0.3);
    expect(mask).toEqual(await model.segment());
  });

  it('denoises with the guidance and the negative prompt of its request, under a key of their own', async () => {
    // Prepare
    const guidance = { guidanceScale: 5, negativePrompt: 'blurry' };
    const compatibilityKey = requestCompatibilityKey(COMPATIBILITY_KEY, guidance);
    const request = { ...requestFor('a red ball'), ...guidance };
    await storeDonor('a');
    await storeDonor('own', compatibilityKey);
    model.negativePrompt = 'blurry';

    // Act
    const { latentKey, donors } = await generate(
      planFor('whole', [donorFor('whole', 'own')]),
      request,
    );
    const foreign = await generate(planFor('whole', [donorFor('whole', 'a')]), request);

    // Assess
    expect(new Set(model.guidances)).toEqual(new Set([5]));
    const stored = objects.bodies.get(latentKey!)!;
    expect(decodeLatent(stored, { compatibilityKey }).whole.shape).toEqual([...SHAPE]);
    expect(() => decodeLatent(stored, { compatibilityKey: COMPATIBILITY_KEY })).toThrow(
      expect.objectContaining({ code: 'latent_foreign' }),
    );
    expect(donors).toHaveLength(1);
    expect(foreign).toMatchObject({ hit: 'miss', donors: [] });
  });

  it('does not go on from a checkpoint of other guidance', async () => {
    // Prepare
    const request = requestFor('a red ball');
    control.stopWhen = () => (model.times.length === 6 ? 'shutdown' : null);
    await expect(generate(planFor('miss'), request)).rejects.toMatchObject({ code: 'cancelled' });
    control.stopWhen = () => null;
    control.stopReason = null;
    model.times.length = 0;

    // Act
    const made = await generate(planFor('miss'), { ...request, guidanceScale: 5 });

    // Assess
    expect(model.times).toHaveLength(12);
    expect(made.stepsHere).toBe(12);
    expect(control.checkpoints).toMatchObject([
      { event: 'checkpoint_stored', stepsDone: 6 },
      { event: 'checkpoint_ignored', error: { code: 'latent_foreign' } },
    ]);
  });

  it('describes the whole, the object on zeros and the hole-filled background', async () => {
    // Prepare: the exact flow ends in the target up to rounding, so the vectors are compared loosely.
    const mask = await model.segment();
    const latent = targetOf('a red ball');

    // Act
    const { vectors } = await generate(planFor('miss'));

    // Assess
    const expected = [latent, objectPart(latent, mask), backgroundPart(latent, mask)].map(vectorOf);
    for (const [at, part] of (['whole', 'object', 'background'] as const).entries()) {
      expect(vectors[part]).toHaveLength(8);
      for (const [index, value] of vectors[part]!.entries()) {
        expect(value).toBeCloseTo(expected[at]![index]!, 4);
      }
    }
  });

  it('gives no object vector when the video shows no object', async () => {
    // Prepare
    model.hasObject = false;

    // Act
    const { vectors } = await generate(planFor('miss'));

    // Assess
    expect(vectors.object).toBeNull();
    expect(vectors.background).toHaveLength(8);
  });

  it.each(['off', 'readonly'] as const)('stores no latent in cache mode %s', async (cache) => {
    // Act
    const result = await generate(planFor('miss'), requestFor('a red ball', cache));

    // Assess
    expect(result).toMatchObject({
      latentKey: null,
      latentBytes: 0,
      latentSha256: null,
      vectors: { whole: null, object: null, background: null },
    });
    expect([...objects.bodies.keys()].every((key) => key.startsWith('videos/'))).toBe(true);
  });

  it('stores the latent in cache mode refresh', async () => {
    const { latentKey } = await generate(planFor('miss'), requestFor('a red ball', 'refresh'));

    expect(objects.bodies.has(latentKey!)).toBe(true);
  });

  it('makes the same again, in objects of its own: a sweep may be about to delete the first', async () => {
    // Prepare
    const first = await generate(planFor('miss'));
    const count = objects.bodies.size;

    // Act
    const meter = new UsageMeter();
    const second = await meter.run(() => generate(planFor('miss')));

    // Assess
    expect(second).toMatchObject({ latentSha256: first.latentSha256, vectors: first.vectors });
    const name = first.latentKey!.slice(0, -'.fcl'.length);
    expect(second.latentKey).toMatch(new RegExp(`^${name}-[0-9a-f]{8}[.]fcl$`));
    for (const kind of ['latentKey', 'videoKey', 'posterKey', 'animationKey'] as const) {
      expect(second[kind]).not.toBe(first[kind]);
      expect(objects.bodies.get(second[kind]!)).toEqual(objects.bodies.get(first[kind]!));
    }
    expect(objects.bodies.size).toBe(2 * count);
    expect(meter.usage).toMatchObject({ objectGets: 1, objectPuts: 10 });
  });

  it('fetches the latent of two donors from one entry once', async () => {
    // Prepare
    await storeDonor('a');
    const donors = [donorFor('object', 'a'), donorFor('background', 'a')];

    // Act
    const meter = new UsageMeter();
    const { hit } = await meter.run(() => generate(planFor('object+background', donors)));

    // Assess
    expect(hit).toBe('object+background');
    expect(meter.usage.objectGets).toBe(2);
  });

  it.each([
    ['missing', async () => void objects.bodies.delete('a'), 'object_missing'],
    [
      'torn',
      async () => void objects.bodies.set('a', objects.bodies.get('a')!.slice(0, -1)),
      'latent_corrupt',
    ],
    ['altered', async () => void (objects.bodies.get('a')![64]! ^= 255), 'latent_corrupt'],
    [
      'foreign',
      async () => {
        objects.bodies.delete('a');
        await storeDonor('a', 'f'.repeat(64));
      },
      'latent_foreign',
    ],
    [
      "of another shape than the package's",
      async () => {
        const latent = { data: new Float32Array(2 * 3 * 4 * 4000), shape: [2, 3, 4, 4000] };
        const mask = { data: new Float32Array(3 * 4 * 4000), shape: [3, 4, 4000] };
        const container = encodeLatent({ latent, mask, compatibilityKey: COMPATIBILITY_KEY });
        objects.bodies.set('a', container);
      },
      'latent_foreign',
    ],
    [
      'longer than any latent of the package',
      async () => void objects.bodies.set('a', new Uint8Array(100_000)),
      'object_corrupt',
    ],
    [
      'damaged in the store',
      async () => void (objects.nextGetError = new ObjectCorruptError('a', 'checksum')),
      'object_corrupt',
    ],
  ])('goes on with the background when the object donor is %s', async (_, damage, code) => {
    // Prepare
    const [object, background] = await storedPair();
    await damage();

    // Act
    const result = await generate(
      planFor('object+background', [object, background], { fullSteps: 20 }),
    );

    // Assess
    expect(result).toMatchObject({
      hit: 'background',
      donors: [background],
      startTime: 0.95,
      stepsRun: 19,
    });
    expect(model.times).toHaveLength(19);
    expect(model.times[0]).toBe(0.95);
    expect(control.dropped).toMatchObject([{ donor: object, error: { code } }]);
  });

  it('generates from noise when no donor is left', async () => {
    // Act
    const result = await generate(planFor('whole', [donorFor('whole', 'nowhere')]));

    // Assess
    expect(result).toMatchObject({ hit: 'miss', donors: [], startTime: 1, stepsRun: 12 });
    expect(model.times[0]).toBe(1);
  });

  it('keeps to the share that may be skipped when a donor is missing', async () => {
    // Prepare
    const [object, background] = await storedPair();
    objects.bodies.delete('a');
    const request = { ...requestFor('a red ball'), maxReuse: 0.02 };

    // Act
    const plan = planFor('object+background', [object, background], { fullSteps: 60 });
    const result = await generate(plan, request);

    // Assess
    expect(result).toMatchObject({ hit: 'background', donors: [background], startTime: 0.98 });
  });

  it('does not take a store that is down for a missing donor', async () => {
    // Prepare
    const donors = await storedPair();
    objects.nextGetError = new FlexCacheError('throttled', 'slow down', { transient: true });

    // Act & Assess
    await expect(generate(planFor('object+background', donors))).rejects.toMatchObject({
      code: 'throttled',
    });
    expect(model.times).toEqual([]);
  });

  it('writes nothing when it is stopped after the last step', async () => {
    // Prepare
    control.stopWhen = () => (model.times.length === 12 ? 'cancelled' : null);

    // Act & Assess
    await expect(generate(planFor('miss'))).rejects.toMatchObject({ code: 'cancelled' });
    expect(objects.bodies.size).toBe(0);
  });

  it('reports growing progress', async () => {
    await generate(planFor('miss'));

    const { percents } = control;
    expect(percents).toHaveLength(12);
    expect(percents).toEqual([...percents].sort((left, right) => left - right));
    expect(percents.at(-1)).toBe(90);
  });

  it('refuses an exact hit', async () => {
    await expect(generate(planFor('exact'))).rejects.toMatchObject({ code: 'internal' });
  });
});
