import { describe, expect, it } from 'vitest';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import { checkCalibrationFile } from '#core/planning/calibration-file.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { makePlan, type Candidate, type PlanInput } from '#core/planning/plan.ts';
import { creditsOf, neighboursOf } from '#core/retention/credits.ts';
import { calibrationFile } from '../planning/calibration-fixture.ts';

/** So many that every start of the default calibration saves one at least. */
const FULL = 20;
/** What a result of reuse depth 1 is worth less as a donor than that of a full generation. */
const LOST_AS_DONOR = (0.4 * FULL) / 9;
const MAX_REUSE_DEPTH = 3;

const candidate = (entryId: string, overrides: Partial<Candidate> = {}): Candidate => ({
  entryId,
  similarity: 0.9,
  latentKey: `latents/${entryId}/0.fcl`,
  reuseDepth: 0,
  steps: FULL,
  leastSimilarity: 1,
  ...overrides,
});

const input = (
  candidates: Partial<PlanInput['candidates']>,
  overrides: Partial<PlanInput> = {},
): PlanInput => ({
  request: { seed: 7, steps: FULL, cache: 'auto', minSimilarity: 0, maxReuse: 1 },
  exactVideoId: null,
  candidates: { whole: [], object: [], background: [], ...candidates },
  calibration: new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 }),
  ...overrides,
});

const creditsFor = (given: PlanInput): Record<string, number> =>
  Object.fromEntries(creditsOf(given, makePlan(given)));

describe('credits', () => {
  it('are none where nothing was reused', () => {
    expect(creditsFor(input({}))).toEqual({});
  });

  it('of an only donor are what it skips, less what its result loses as a donor', () => {
    const credits = creditsFor(input({ whole: [candidate('w')] }));
    expect(credits['w']).toBeCloseTo(FULL - 6 - LOST_AS_DONOR, 9);
  });

  it('of a donor whose equal is at hand are none', () => {
    const equals = [candidate('a'), candidate('b')];
    const credits = Object.values(creditsFor(input({ whole: equals })));

    expect(credits).toEqual([0]);
  });

  it('are for the step to the next best hit where there is one', () => {
    const found = {
      whole: [candidate('w')],
      object: [candidate('o')],
      background: [candidate('b')],
    };

    // 14 evaluations from both parts instead of 6; the results are of the same generation.
    expect(creditsFor(input(found))).toEqual({ w: 8 });
  });

  it('of a pair are for each what it adds to the other', () => {
    const found = { object: [candidate('o')], background: [candidate('b')] };

    // 14; 19 from the background alone, 18 from the object alone.
    expect(creditsFor(input(found))).toEqual({ o: 5, b: 4 });
  });

  it('take an entry out of all its parts at once', () => {
    const found = { object: [candidate('x')], background: [candidate('x')] };

    expect(creditsFor(input(found))['x']).toBeCloseTo(FULL - 14 - LOST_AS_DONOR, 9);
  });

  it('of the end of a line are less than of a full generation', () => {
    const [first, last] = [0, MAX_REUSE_DEPTH - 1].map((reuseDepth) =>
      creditsFor(input({ whole: [candidate('w', { reuseDepth })] })),
    );

    expect(first!['w']).toBeCloseTo(FULL - 6 - LOST_AS_DONOR, 9);
    expect(last!['w']).toBeCloseTo(FULL - 6 - 0.4 * FULL, 9);
  });

  it('are all that a hit skips where no generation is too far', () => {
    const calibration = new PackageCalibration(
      checkCalibrationFile('calibration.json', calibrationFile()),
    );
    const found = { whole: [candidate('w', { reuseDepth: 9 })] };
    expect(creditsFor(input(found, { calibration }))).toEqual({ w: 16 });
  });

  it('prefer what leaves a better donor behind though it skips as much', () => {
    const found = {
      whole: [candidate('near', { reuseDepth: 2 }), candidate('far', { similarity: 0.85 })],
    };

    // Without `near` the plan takes `far`, whose result is worth more: nothing would be lost.
    expect(creditsFor(input(found))).toEqual({ near: 0 });
  });

  it('of an exact answer are what the next best plan would run', () => {
    const given = input({ whole: [candidate('w')] }, { exactVideoId: 'e' });

    expect(creditsFor(given)).toEqual({ e: 6 });
    expect(creditsFor(input({}, { exactVideoId: 'e' }))).toEqual({ e: FULL });
  });

  it('of a remix are against a full generation', () => {
    const remix = candidate('r', { similarity: 0.1 });
    const given = input({ whole: [remix] }, { remix });

    expect(makePlan(given).hit).toBe('whole');
    expect(creditsFor(given)['r']).toBeGreaterThan(0);
  });
});

describe('neighbours', () => {
  it('are the entries that could be donors, each once', () => {
    const found = {
      whole: [candidate('a'), candidate('far', { similarity: 0.5 })],
      object: [candidate('a'), candidate('b')],
      background: [candidate('old', { reuseDepth: MAX_REUSE_DEPTH })],
    };

    expect(neighboursOf(input(found))).toBe(2);
  });
});
