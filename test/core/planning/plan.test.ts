import { describe, expect, it } from 'vitest';
import { DefaultCalibration, startPoint, type Calibration } from '#core/planning/calibration.ts';
import { checkCalibrationFile } from '#core/planning/calibration-file.ts';
import type { CacheMode } from '#core/generation.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { makePlan, REMIX_START_TIME, type Candidate, type PlanInput } from '#core/planning/plan.ts';
import { calibrationFile, planOf } from './calibration-fixture.ts';

/** So many that every start of the default calibration saves one at least. */
const FULL = 20;

const candidate = (entryId: string, overrides: Partial<Candidate> = {}): Candidate => ({
  entryId,
  similarity: 0.9,
  latentKey: `latents/${entryId}/0.fcl`,
  reuseDepth: 0,
  steps: FULL,
  leastSimilarity: 1,
  ...overrides,
});

const MAX_REUSE_DEPTH = 3;

const REQUEST = { seed: 7, steps: FULL, cache: 'auto', minSimilarity: 0, maxReuse: 1 } as const;

const input = (
  candidates: Partial<PlanInput['candidates']> = {},
  overrides: Partial<PlanInput> = {},
): PlanInput => ({
  request: REQUEST,
  exactVideoId: null,
  candidates: { whole: [], object: [], background: [], ...candidates },
  calibration: new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 }),
  ...overrides,
});

const ALL_PARTS = {
  whole: [candidate('w')],
  object: [candidate('o')],
  background: [candidate('b')],
};

describe('makePlan', () => {
  it('is a full generation when nothing was found', () => {
    expect(makePlan(input())).toEqual({
      hit: 'miss',
      donors: [],
      ...startPoint(1, FULL),
      fullSteps: FULL,
      seed: 7,
      exactVideoId: null,
    });
  });

  it('returns the exact video without any step', () => {
    expect(makePlan(input(ALL_PARTS, { exactVideoId: 'vid_1' }))).toEqual({
      hit: 'exact',
      donors: [],
      ...startPoint(0, 0),
      fullSteps: FULL,
      seed: 7,
      exactVideoId: 'vid_1',
    });
  });

  it.each([
    [ALL_PARTS, 'whole', ['w'], 0.3, 6],
    [{ ...ALL_PARTS, whole: [] }, 'object+background', ['o', 'b'], 0.7, 14],
    [{ object: ALL_PARTS.object }, 'object', ['o'], 0.9, 18],
    [{ background: ALL_PARTS.background }, 'background', ['b'], 0.95, 19],
  ])('takes the hit that leaves the least to denoise (%#)', (found, hit, ids, startTime, steps) => {
    const plan = makePlan(input(found));
    expect(plan).toMatchObject({ hit, startTime, steps });
    expect(plan.donors.map((donor) => donor.entryId)).toEqual(ids);
  });

  it('follows the calibration when it lets a pair skip more than a whole donor', () => {
    const calibration: Calibration = {
      fullSolver: 'euler',
      maxReuseDepth: 3,
      admits: () => true,
      decide: (kind) => startPoint(0.5, kind === 'object+background' ? 3 : 6),
    };
    expect(makePlan(input(ALL_PARTS, { calibration })).hit).toBe('object+background');
  });

  it('starts a background that is placed as asked for from noise, and no other', () => {
    // Prepare
    const place = { ...startPoint(1, 5, 'dpmpp-2m'), anchor: 'place', equivalents: 1.8 } as const;
    const calibration: Calibration = {
      fullSolver: 'ab2',
      maxReuseDepth: Infinity,
      admits: () => true,
      decide: (kind) =>
        kind === 'placed' ? place : kind === 'background' ? startPoint(0.95, 4) : null,
    };
    const found = [
      candidate('b', { similarity: 0.9 }),
      candidate('p', { similarity: 0.85, isPlaced: true }),
    ];

    // Act
    const placed = makePlan(input({ background: found }, { calibration }));
    const other = makePlan(input({ background: [found[0]!] }, { calibration }));

    // Assess
    expect(placed).toMatchObject({ hit: 'background', anchor: 'place', startTime: 1, steps: 5 });
    expect(placed.donors).toMatchObject([{ entryId: 'p', part: 'background' }]);
    expect(other).toMatchObject({ anchor: 'none', startTime: 0.95 });
  });

  it('asks about a pair with the similarity of its weaker donor', () => {
    const asked: [string, number][] = [];
    const calibration: Calibration = {
      fullSolver: 'euler',
      maxReuseDepth: 3,
      admits: () => true,
      decide: (kind, similarity) => {
        asked.push([kind, similarity]);
        return startPoint(0.6, 5);
      },
    };

    makePlan(
      input(
        {
          object: [candidate('o', { similarity: 0.95 })],
          background: [candidate('b', { similarity: 0.85 })],
        },
        { calibration },
      ),
    );

    expect(asked).toContainEqual(['object+background', 0.85]);
  });

  it('says which part of each donor is used and how similar it is', () => {
    const { donors } = makePlan(input({ ...ALL_PARTS, whole: [] }));
    expect(donors).toEqual([
      { entryId: 'o', part: 'object', similarity: 0.9, latentKey: 'latents/o/0.fcl' },
      { entryId: 'b', part: 'background', similarity: 0.9, latentKey: 'latents/b/0.fcl' },
    ]);
  });

  it.each([
    ['off', 'miss'],
    ['refresh', 'miss'],
    ['readonly', 'whole'],
    ['auto', 'whole'],
  ] as const)('in cache mode %s is a %s', (cache: CacheMode, hit) => {
    const request = { ...REQUEST, cache };
    expect(makePlan(input(ALL_PARTS, { request })).hit).toBe(hit);
  });

  it('does not return the exact video when asked to refresh', () => {
    const request = { ...REQUEST, cache: 'refresh' } as const;
    expect(makePlan(input(ALL_PARTS, { request, exactVideoId: 'vid_1' })).hit).toBe('miss');
  });

  it('is a miss when a full generation is as short as the hit', () => {
    const request = { ...REQUEST, steps: 4 };
    expect(makePlan(input({ background: [candidate('b')] }, { request })).hit).toBe('miss');
  });

  it('draws among equally good donors by the seed, and only among them', () => {
    const whole = [
      candidate('a', { similarity: 0.95 }),
      candidate('b', { similarity: 0.946 }),
      candidate('c', { similarity: 0.93 }),
    ];
    const chosen = (seed: number, found: Candidate[]): string | undefined =>
      makePlan(input({ whole: found }, { request: { ...REQUEST, seed } })).donors[0]?.entryId;

    const drawn = Array.from({ length: 40 }, (_, seed) => chosen(seed, whole));
    const again = Array.from({ length: 40 }, (_, seed) => chosen(seed, whole.toReversed()));

    expect(new Set(drawn)).toEqual(new Set(['a', 'b']));
    expect(again).toEqual(drawn);
  });

  it('prefers the donor that is fewer reuses away from a full generation', () => {
    const whole = [
      candidate('copy', { similarity: 0.95, reuseDepth: 2 }),
      candidate('original', { similarity: 0.946, reuseDepth: 0 }),
    ];
    expect(makePlan(input({ whole })).donors[0]?.entryId).toBe('original');
  });

  it('does not use a donor at the largest reuse depth', () => {
    const found = (reuseDepth: number): Candidate[] => [candidate('w', { reuseDepth })];
    expect(makePlan(input({ whole: found(MAX_REUSE_DEPTH - 1) })).hit).toBe('whole');
    expect(makePlan(input({ whole: found(MAX_REUSE_DEPTH) })).hit).toBe('miss');
  });

  it('makes in full what would save little and leave no donor, where the reuse depth is limited', () => {
    const found = (reuseDepth: number): Partial<PlanInput['candidates']> => ({
      object: [candidate('o', { reuseDepth })],
    });
    expect(makePlan(input(found(0))).hit).toBe('object');
    expect(makePlan(input(found(1))).hit).toBe('miss');
    expect(makePlan(input({ ...found(2), background: [candidate('b')] })).hit).toBe('background');
  });

  it('passes over a part below its threshold and uses the other', () => {
    const plan = makePlan(
      input({ object: [candidate('o', { similarity: 0.79 })], background: [candidate('b')] }),
    );
    expect(plan.hit).toBe('background');
  });

  it('uses no donor below the least similarity of the request', () => {
    const request = { ...REQUEST, minSimilarity: 0.92 };
    const found = {
      whole: [candidate('w', { similarity: 0.91 })],
      object: [candidate('o', { similarity: 0.93 })],
      background: [candidate('b', { similarity: 0.85 })],
    };
    expect(makePlan(input(found, { request }))).toMatchObject({
      hit: 'object',
      donors: [{ entryId: 'o' }],
    });
  });

  it.each([
    [0.7, 0.3, 6],
    [0.5, 0.5, 10],
    [0.2, 0.8, 16],
    [0.1, 0.9, 18],
  ])('skips no more than %f of the denoising', (maxReuse, startTime, steps) => {
    const plan = makePlan(
      input({ whole: [candidate('w')] }, { request: { ...REQUEST, maxReuse } }),
    );
    expect(plan).toMatchObject({ hit: 'whole', steps });
    expect(plan.startTime).toBeCloseTo(startTime, 12);
  });

  it('returns no finished video and reuses nothing when no share may be skipped', () => {
    const request = { ...REQUEST, maxReuse: 0 };
    expect(makePlan(input(ALL_PARTS, { request, exactVideoId: 'vid_1' }))).toMatchObject({
      hit: 'miss',
      donors: [],
      startTime: 1,
      exactVideoId: null,
    });
  });

  it('returns no finished video when only a part may be skipped', () => {
    const request = { ...REQUEST, maxReuse: 0.9 };
    expect(makePlan(input(ALL_PARTS, { request, exactVideoId: 'vid_1' }))).toMatchObject({
      hit: 'whole',
      donors: [{ entryId: 'w' }],
    });
  });

  it('keeps the steps below those of a full generation when it starts later', () => {
    const request = { ...REQUEST, steps: 4, maxReuse: 0.5 };
    expect(makePlan(input({ whole: [candidate('w')] }, { request }))).toMatchObject({
      startTime: 0.5,
      steps: 2,
    });
  });
});

describe('a remix', () => {
  const remix = candidate('named', { similarity: 0.2, reuseDepth: MAX_REUSE_DEPTH });

  it('starts late from the whole of its video when nothing of it is similar enough', () => {
    expect(makePlan(input({ whole: [remix] }, { remix }))).toMatchObject({
      hit: 'whole',
      donors: [{ entryId: 'named', part: 'whole', similarity: 0.2 }],
      startTime: REMIX_START_TIME,
      steps: 16,
    });
  });

  it('starts from the part that is similar enough', () => {
    const object = [candidate('named', { similarity: 0.9 })];
    expect(makePlan(input({ whole: [remix], object }, { remix }))).toMatchObject({
      hit: 'object',
      donors: [{ entryId: 'named', part: 'object' }],
      startTime: 0.9,
    });
  });

  it('keeps to the share that may be skipped', () => {
    const request = { ...REQUEST, maxReuse: 0.1 };
    expect(makePlan(input({}, { remix, request }))).toMatchObject({ startTime: 0.9, steps: 18 });
    const none = { ...REQUEST, maxReuse: 0 };
    expect(makePlan(input({}, { remix, request: none })).hit).toBe('miss');
  });
});

describe('with the calibration of a package', () => {
  const REQUESTED = { ...REQUEST, steps: 6 };
  const measured = (change: Parameters<typeof calibrationFile>[0] = {}): PackageCalibration =>
    new PackageCalibration(checkCalibrationFile('calibration.json', calibrationFile(change)));
  const planned = (
    candidates: Partial<PlanInput['candidates']>,
    change: Parameters<typeof calibrationFile>[0] = {},
    request: Partial<PlanInput['request']> = {},
  ) =>
    makePlan(
      input(candidates, {
        calibration: measured(change),
        request: { ...REQUESTED, ...request },
      }),
    );
  const lossOf = (mean: number) => ({
    adherence: { mean, low: mean - 0.01, high: mean + 0.01 },
    frechet: { mean: 0, low: 0, high: 0 },
  });

  it('runs full generations with the measured solver', () => {
    expect(planned({})).toMatchObject({ hit: 'miss', steps: 6, solver: 'ab2', anchor: 'none' });
  });

  it('says how a hit is denoised', () => {
    expect(planned({ background: [candidate('b', { similarity: 0.7 })] })).toMatchObject({
      hit: 'background',
      startTime: 0.95,
      steps: 4,
      equivalents: 4,
      solver: 'ab2',
      anchor: 'background',
    });
  });

  it('starts late from a whole video that shows something else, where nothing costs less', () => {
    const near = [candidate('n', { similarity: 0.65 })];
    const parts = { object: [candidate('o')], background: [candidate('b')] };

    expect(planned({ near })).toMatchObject({
      hit: 'near',
      donors: [{ entryId: 'n', part: 'whole', similarity: 0.65 }],
      startTime: 0.8,
      steps: 4,
    });
    expect(planned({ near, ...parts }).hit).toBe('object+background');
    expect(planned({ near: [candidate('far', { similarity: 0.5 })] }).hit).toBe('miss');
  });

  it('starts late from one that shows what was asked for, though not similarly enough', () => {
    expect(planned({ whole: [candidate('w', { similarity: 0.8 })] }).hit).toBe('near');
    expect(planned({ whole: [candidate('w', { similarity: 0.9 })] }).hit).toBe('whole');
  });

  it('calls it a whole hit where one that shows all of it, similarly enough, starts as a near one does', () => {
    const plans = { plans: [planOf('near', 0.6, 3, { startTime: 0.9 })] };
    const found = { whole: [candidate('w', { similarity: 0.9 })] };
    expect(planned(found, plans)).toMatchObject({ hit: 'whole', startTime: 0.9, steps: 3 });
    const lessSimilar = { whole: [candidate('w', { similarity: 0.8 })] };
    expect(planned(lessSimilar, plans).hit).toBe('near');
    expect(planned({ near: found.whole }, plans).hit).toBe('near');
  });

  it('lends no object alone where that was not measured to pay, and still as one of two', () => {
    const object = [candidate('o')];
    expect(planned({ object }).hit).toBe('miss');
    expect(planned({ object, background: [candidate('b')] }).hit).toBe('object+background');
  });

  it('chooses both donors of a pair by what the pair costs', () => {
    const plans = [
      planOf('object+background', 0.69, 4),
      planOf('object+background', 0.85, 2, { loss: lossOf(0.01) }),
      planOf('background', 0.69, 5),
    ];
    const found = {
      object: [candidate('o', { similarity: 0.83 }), candidate('near', { similarity: 0.86 })],
      background: [candidate('b', { similarity: 0.99, doubts: 1 }), candidate('c')],
    };
    expect(planned(found, { plans })).toMatchObject({
      steps: 2,
      donors: [{ entryId: 'near' }, { entryId: 'c' }],
    });
  });

  it('lends what is less similar where the judge was sure to see it', () => {
    const sureThresholds = { whole: 0.9, object: 0.5, background: 0.5 };
    const background = [candidate('b')];
    const plans = [planOf('object+background', 0.5, 3)];
    const planWith = (isSure: boolean) =>
      planned(
        { object: [candidate('o', { similarity: 0.6, isSure })], background },
        { plans, sureThresholds },
      );

    expect(planWith(true).hit).toBe('object+background');
    expect(planWith(false).hit).toBe('miss');
  });

  it('prefers donors of which the judge saw what is asked for, then those that are likelier', () => {
    const found = {
      object: [
        candidate('doubted', { similarity: 0.95, doubts: 2 }),
        candidate('seen', { similarity: 0.83 }),
        candidate('likelier', { similarity: 0.82, score: 0.9 }),
      ],
      background: [candidate('b')],
    };
    expect(planned(found).donors.map(({ entryId }) => entryId)).toEqual(['likelier', 'b']);
  });

  it('takes the hit that loses less where two cost the same', () => {
    const plans = [
      planOf('near', 0.6, 4, { startTime: 0.8, loss: lossOf(0.02) }),
      planOf('background', 0.6, 4, { startTime: 0.95, loss: lossOf(0.01) }),
    ];
    const found = { near: [candidate('n')], background: [candidate('b')] };
    expect(planned(found, { plans }).hit).toBe('background');
  });

  it('counts compute, not steps', () => {
    const plans = [
      planOf('near', 0.6, 3, { startTime: 0.8 }),
      planOf('background', 0.6, 5, { anchor: 'region', equivalents: 2.5 }),
    ];
    const found = { near: [candidate('n')], background: [candidate('b')] };
    expect(planned(found, { plans })).toMatchObject({ hit: 'background', equivalents: 2.5 });
  });

  it('is no donor from the measured reuse depth on, however far where none was found', () => {
    const whole = [candidate('w', { reuseDepth: 40 })];
    expect(planned({ whole }).hit).toBe('whole');
    expect(planned({ whole }, { maxReuseDepth: 40 }).hit).toBe('miss');
  });

  it('keeps no part of a donor to the end where only a share may be skipped', () => {
    const background = [candidate('b')];
    expect(planned({ background }, {}, { maxReuse: 0.9 }).hit).toBe('miss');
    expect(planned({ background }, {}, { maxReuse: 1 }).hit).toBe('background');
  });
});
