import { beforeEach, describe, expect, it } from 'vitest';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import { FlexCacheError } from '#core/errors.ts';
import { SOLVERS, type Plan } from '#core/generation.ts';
import { checkpointObjectKey } from '#core/requests/identity.ts';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  mostCheckpointBytes,
  type Checkpoint,
} from '#denoiser/checkpoint.ts';
import { generateVideo } from '#denoiser/generate-video.ts';
import {
  COMPATIBILITY_KEY,
  CurvedVideoModel,
  donorFor,
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
} from './fakes.ts';

const SUBJECT = {
  compatibilityKey: COMPATIBILITY_KEY,
  request: requestFor('a red ball'),
  plan: planFor('object', [donorFor('object', 'a')]),
};

const CHECKPOINT: Checkpoint = {
  latent: {
    // Values that a text, or a rounding, would change.
    data: targetOf('x').data.map((value, index) => (index === 0 ? -0 : value * 1e-40)),
    shape: SHAPE,
  },
  stepsDone: 3,
  memory: null,
  inside: null,
  equivalents: 2.3,
  runs: ['0123456789ab', 'cdef01234567'],
};

const MASK = {
  data: Float32Array.from({ length: 48 }, (_, index) => (index % 5 === 0 ? 1 : 0)),
  shape: SHAPE.slice(1),
};

const OBJECT_MAP = { data: targetOf('z').data.slice(0, 48), shape: SHAPE.slice(1) };

/** Each with and without what only some plans keep between two steps. */
const CHECKPOINTS: [string, Checkpoint][] = [
  ['of a solver without memory', CHECKPOINT],
  ['with memory', { ...CHECKPOINT, memory: { data: targetOf('y').data, shape: SHAPE } }],
  ['with a mask', { ...CHECKPOINT, inside: MASK }],
  [
    'with both',
    { ...CHECKPOINT, memory: { data: targetOf('y').data, shape: SHAPE }, inside: MASK },
  ],
  ['with an object map', { ...CHECKPOINT, inside: MASK, objectMap: OBJECT_MAP }],
];

describe.each(CHECKPOINTS)('a checkpoint as bytes, %s', (_, checkpoint) => {
  const subject = { ...SUBJECT, mapsObject: checkpoint.objectMap !== undefined };
  const bytes = encodeCheckpoint(subject, checkpoint);

  it('comes back to the last bit', () => {
    const decoded = decodeCheckpoint(bytes, subject, SHAPE);

    expect(decoded).toEqual(checkpoint);
    expect(new Uint32Array(decoded.latent.data.buffer)).toEqual(
      new Uint32Array(checkpoint.latent.data.buffer),
    );
    expect(bytes.length).toBeLessThanOrEqual(mostCheckpointBytes(SHAPE));
  });

  it('is refused wherever it is cut', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeCheckpoint(bytes.slice(0, length), subject, SHAPE)).toThrow(
        FlexCacheError,
      );
    }
  });

  it('is refused whichever byte is altered', () => {
    for (let position = 0; position < bytes.length; position++) {
      const altered = Uint8Array.from(bytes);
      altered[position]! ^= 1;
      expect(() => decodeCheckpoint(altered, subject, SHAPE)).toThrow(FlexCacheError);
    }
  });
});

describe('a checkpoint as bytes', () => {
  it.each([
    ['model', { compatibilityKey: 'd'.repeat(64) }],
    ['video', { request: { ...SUBJECT.request, videoId: VIDEO_ID.replace(/0$/, '1') } }],
    ['prompt', { request: requestFor('a blue ball') }],
    ['seed', { plan: { ...SUBJECT.plan, seed: 8 } }],
    ['hit', { plan: { ...SUBJECT.plan, hit: 'whole' } }],
    ['start time', { plan: { ...SUBJECT.plan, startTime: 0.61 } }],
    ['number of steps', { plan: { ...SUBJECT.plan, steps: 6 } }],
    ['solver', { plan: { ...SUBJECT.plan, solver: 'ab2' } }],
    ['anchor', { plan: { ...SUBJECT.plan, anchor: 'background' } }],
    ['donor', { plan: { ...SUBJECT.plan, donors: [donorFor('object', 'b')] } }],
    ['source of object masks', { mapsObject: true }],
  ])('is refused by another %s', (_, change) => {
    const bytes = encodeCheckpoint(SUBJECT, CHECKPOINT);

    const subject = { ...SUBJECT, ...change } as typeof SUBJECT;
    expect(() => decodeCheckpoint(bytes, subject, SHAPE)).toThrow(
      expect.objectContaining({ code: 'latent_foreign' }),
    );
  });

  it('is refused by latents of another shape', () => {
    const bytes = encodeCheckpoint(SUBJECT, CHECKPOINT);

    expect(() => decodeCheckpoint(bytes, SUBJECT, [2, 3, 4, 5])).toThrow('[2, 3, 4, 5]');
  });
});

describe('a generation that is shut down', () => {
  const key = checkpointObjectKey(VIDEO_ID);
  const request = requestFor('a red ball');
  let objects: MemoryObjects;

  beforeEach(() => {
    objects = new MemoryObjects();
  });

  /** One worker; it is shut down before the step that follows `stopAfter` of its own. */
  async function work(
    plan: Plan = planFor('miss'),
    stopAfter = Infinity,
    reason: 'shutdown' | 'cancelled' = 'shutdown',
    run = 'run-1',
    model = new FakeVideoModel(),
  ) {
    const control = new RecordingControl(run);
    control.stopWhen = () => (model.times.length === stopAfter ? reason : null);
    const dependencies = {
      model,
      manifest: MANIFEST,
      calibration: new DefaultCalibration(THRESHOLDS),
      compatibilityKey: COMPATIBILITY_KEY,
      objects,
    };
    const video = await generateVideo(dependencies, request, plan, control).catch(
      (error: unknown) => {
        if (error instanceof FlexCacheError && error.code === 'cancelled') return null;
        throw error;
      },
    );
    return { video, steps: model.times.length, checkpoints: control.checkpoints };
  }

  it.each([1, 5, 11, 12])(
    'is finished by the next worker with the steps that are left after %i',
    async (stopAfter) => {
      // Prepare
      const whole = await work();
      objects = new MemoryObjects();

      // Act
      const first = await work(planFor('miss'), stopAfter);
      const second = await work();

      // Assess
      expect(first).toMatchObject({ video: null, steps: stopAfter });
      const state = { stepsDone: stopAfter, steps: 12, runs: ['run-1'] };
      expect(first.checkpoints).toEqual([{ event: 'checkpoint_stored', ...state }]);
      expect(second.checkpoints).toEqual([{ event: 'resumed', ...state }]);
      expect(second.steps).toBe(12 - stopAfter);
      expect(second.video).toMatchObject({
        latentKey: whole.video!.latentKey,
        videoKey: whole.video!.videoKey,
        stepsRun: 12,
        stepsHere: 12 - stopAfter,
      });
    },
  );

  it.each(SOLVERS)('is finished to the very same latent with the solver %s', async (solver) => {
    // Prepare
    const plan = planFor('miss', [], { solver, steps: 4 });
    const workOn = (stopAfter?: number) =>
      work(plan, stopAfter, 'shutdown', 'run-1', new CurvedVideoModel());
    const whole = await workOn();

    for (const stopAfter of [1, 2, 3, 4]) {
      // Act
      objects = new MemoryObjects();
      await workOn(stopAfter);
      const { video, steps } = await workOn();

      // Assess
      expect(steps).toBe(4 - stopAfter);
      expect(video!.latentKey).toBe(whole.video!.latentKey);
    }
  });

  it('is finished to the very same latent with the background held', async () => {
    // Prepare
    const workOn = (plan: Plan, stopAfter?: number) =>
      work(plan, stopAfter, 'shutdown', 'run-1', new CurvedVideoModel());
    const { video: donor } = await workOn(planFor('miss', [], { seed: 9 }));
    const plan = planFor('background', [donorFor('background', donor!.latentKey!)], {
      anchor: 'background',
      solver: 'ab2',
      steps: 5,
    });
    const whole = await workOn(plan);
    const found: boolean[] = [];

    for (const stopAfter of [1, 2, 3, 4]) {
      // Act
      await workOn(plan, stopAfter);
      const subject = { compatibilityKey: COMPATIBILITY_KEY, request, plan };
      found.push(decodeCheckpoint(objects.bodies.get(key)!, subject, SHAPE).inside !== null);
      const { video, steps } = await workOn(plan);
      objects.bodies.delete(key);

      // Assess
      expect(steps).toBe(5 - stopAfter);
      // What another run left there is not named: the same latent is written beside it.
      const hashOf = (latentKey: string) => latentKey.match(/\/([0-9a-f]{16})/)![1];
      expect(hashOf(video!.latentKey!)).toBe(hashOf(whole.video!.latentKey!));
    }
    expect(found).toEqual([false, true, true, true]);
  });

  it('names the run of every worker whose steps are in it, and each worker counts its own', async () => {
    // Prepare
    await work(planFor('miss'), 4, 'shutdown', 'run-1');
    expect(stored()).toMatchObject({ stepsDone: 4, runs: ['run-1'] });
    await work(planFor('miss'), 3, 'shutdown', 'run-2');
    expect(stored()).toMatchObject({ stepsDone: 7, runs: ['run-1', 'run-2'] });

    // Act
    const { video, steps, checkpoints } = await work(
      planFor('miss'),
      undefined,
      undefined,
      'run-3',
    );

    // Assess
    expect(checkpoints).toMatchObject([{ event: 'resumed', runs: ['run-1', 'run-2'] }]);
    expect(steps).toBe(5);
    expect(video!.work.networkEvaluations).toBe(5);
    expect(video!.stepsRun).toBe(12);
  });

  function stored(): Checkpoint {
    const subject = { compatibilityKey: COMPATIBILITY_KEY, request, plan: planFor('miss') };
    return decodeCheckpoint(objects.bodies.get(key)!, subject, SHAPE);
  }

  it('keeps the earlier checkpoint when it did no step', async () => {
    await work(planFor('miss'), 4);
    const before = objects.bodies.get(key);

    await work(planFor('miss'), 0);

    expect(objects.bodies.get(key)).toBe(before);
  });

  it('leaves nothing when it is cancelled', async () => {
    await work(planFor('miss'), 4, 'cancelled');

    expect(objects.bodies.size).toBe(0);
  });

  it.each([
    [
      'torn',
      () => objects.bodies.set(key, objects.bodies.get(key)!.slice(0, -1)),
      'latent_corrupt',
    ],
    ['of another plan', () => work(planFor('miss', [], { seed: 8 }), 4), 'latent_foreign'],
  ])('is made from the beginning when its checkpoint is %s', async (_, damage, code) => {
    // Prepare
    await work(planFor('miss'), 4);
    await damage();

    // Act
    const { video, steps, checkpoints } = await work();

    // Assess
    expect(steps).toBe(12);
    expect(video!.work.networkEvaluations).toBe(12);
    expect(checkpoints).toMatchObject([{ event: 'checkpoint_ignored', error: { code } }]);
  });

  it('says so when the checkpoint cannot be stored', async () => {
    objects.put = () => Promise.reject(new FlexCacheError('throttled', 'slow down'));

    const { checkpoints } = await work(planFor('miss'), 4);

    expect(checkpoints).toMatchObject([
      { event: 'checkpoint_failed', error: { code: 'throttled' } },
    ]);
  });

  it('does not begin anew when the store that may have its checkpoint is down', async () => {
    objects.nextGetError = new FlexCacheError('throttled', 'slow down', { transient: true });

    await expect(work()).rejects.toMatchObject({ code: 'throttled' });
  });
});
