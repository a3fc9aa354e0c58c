import { appendFile, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandomSource } from '#core/random.ts';
import { generateTrace } from '#simulation/traces/generate-trace.ts';
import { SYNTHETIC_DEFAULTS } from '#simulation/traces/synthetic-parameters.ts';
import { loadManifest } from '#models/manifest.ts';
import { askedValues, isDemoWorld, type AskedValues } from '../../../cli/calibrate/asked-values.ts';
import { drawPlan } from '../../../cli/calibrate/calibration-run.ts';
import { choosePlans, type MeasuredBin } from '../../../cli/calibrate/choose-plans.ts';
import { LossMeter } from '../../../cli/calibrate/losses.ts';
import { parseObjective } from '../../../cli/calibrate/objective.ts';
import { race, type RacedCell } from '../../../cli/calibrate/race.ts';
import { nameOfStart, startGrid, type GridPoint } from '../../../cli/calibrate/start-grid.ts';
import type { VideoOutcome } from '../../../cli/calibrate/video-maker.ts';
import { packNumbers, unpackNumbers, WorkFile } from '../../../cli/calibrate/work-file.ts';
import { temporaryFolder } from '../../temporary-folder.ts';

const DEMO_PACKAGE = resolve(import.meta.dirname, '../../../containers/demo-model/package');

const OBJECTIVE = { adherence: 0.01, frechet: 0.05 };

/** Videos that keep so much of the adherence; what they look like is drawn alike. */
function videos(count: number, name: string, rate: number, equivalents = 1): VideoOutcome[] {
  const random = createRandomSource(1, name);
  const next = (): number => random.nextUint32() / 2 ** 32;
  return Array.from({ length: count }, () => {
    const looks = Float32Array.from({ length: 4 }, next);
    const adherence = next() < rate ? 1 : 0.5;
    return { adherence, similarity: adherence, tower: looks, features: looks, equivalents };
  });
}

function startOf(steps: number, startTime = 0.5): GridPoint {
  return { startTime, steps, solver: 'ab2', anchor: 'none' };
}

describe('a race of starts', () => {
  const full = videos(512, 'full', 0.95);
  const meter = new LossMeter(videos(512, 'reference', 0.95), 1);

  /** The full generations themselves, of which a start spoils some. */
  function spoiled(share: number, steps: number, count: number): VideoOutcome[] {
    return full.slice(0, count).map((video, index) => ({
      ...video,
      equivalents: steps,
      adherence: index % 100 < share * 100 ? 0 : video.adherence,
    }));
  }

  async function raced(losses: ReadonlyMap<number, number>): Promise<{
    cells: RacedCell[];
    made: Map<number, number>;
  }> {
    const made = new Map<number, number>();
    const cells = await race(
      { kind: 'whole', similarity: 0.9, full, starts: [...losses.keys()].map((n) => startOf(n)) },
      {
        objective: OBJECTIVE,
        meter,
        run: async (starts, count) =>
          starts.map(({ steps }) => {
            made.set(steps, count);
            return spoiled(losses.get(steps)!, steps, count);
          }),
      },
    );
    return { cells, made };
  }

  it('drops what is hopeless early, and what costs more than one that does', async () => {
    const { cells, made } = await raced(
      new Map([
        [1, 0.6],
        [2, 0],
        [3, 0],
        [4, 0],
      ]),
    );

    expect(cells.map(({ start }) => start.steps)).toEqual([1, 2, 3, 4]);
    expect(made.get(1)).toBe(64);
    expect(cells[0]!.reason).toMatch(/loses more/);
    expect(cells[1]).toMatchObject({ samples: 512, reason: null });
    expect(cells[2]!.reason).toMatch(/costs more/);
    expect(made.get(3)).toBe(64);
    const [chosen] = choosePlans([{ cells, full }], OBJECTIVE, meter);
    expect(chosen!.start.steps).toBe(2);
  });

  it('lets dearer starts race again where the cheap one only seemed to do', async () => {
    const spoiledLate = (steps: number, count: number): VideoOutcome[] => {
      const flawless = spoiled(0, steps, count);
      if (steps > 2) return flawless;
      // The first round sees none of what it spoils.
      return flawless.map((video, index) => (index < 64 ? video : { ...video, adherence: 0 }));
    };
    const cells = await race(
      { kind: 'whole', similarity: 0.9, full, starts: [2, 3, 4].map((steps) => startOf(steps)) },
      {
        objective: OBJECTIVE,
        meter,
        run: async (starts, count) => starts.map(({ steps }) => spoiledLate(steps, count)),
      },
    );

    expect(cells.map(({ start }) => start.steps)).toEqual([2, 3, 4]);
    expect(cells[0]!.reason).toMatch(/loses more/);
    expect(cells[1]).toMatchObject({ samples: 512, reason: null });
    const [chosen] = choosePlans([{ cells, full }], OBJECTIVE, meter);
    expect(chosen!.start.steps).toBe(3);
  });

  it('chooses none where the loss may be above the objective', async () => {
    const { cells } = await raced(new Map([[2, 0.01]]));
    expect(cells[0]!.measured.loss.adherence!.mean).toBeGreaterThan(0.005);
    expect(choosePlans([{ cells, full }], OBJECTIVE, meter)).toEqual([null]);
  });

  it('never lets a more similar donor cost more', () => {
    const cost = fc.integer({ min: 1, max: 4 });
    const binOf = fc.array(fc.tuple(cost, fc.constantFrom(0, 0.5)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(binOf, { minLength: 1, maxLength: 3 }), (bins) => {
        const measured = bins.map((starts, bin): MeasuredBin => {
          const unique = new Map(starts);
          const cells = [...unique].map(([steps, loss]): RacedCell => {
            const outcomes = spoiled(loss, steps, 512);
            return {
              kind: 'whole',
              similarity: bin / 10,
              start: startOf(steps),
              samples: 512,
              measured: meter.compare(outcomes, full),
              equivalents: steps,
              outcomes,
              reason: null,
            };
          });
          return { cells, full };
        });
        const plans = choosePlans(measured, OBJECTIVE, meter);
        for (const [bin, plan] of plans.entries()) {
          if (plan === null) continue;
          for (const better of plans.slice(bin + 1)) {
            expect(better).not.toBeNull();
            expect(better!.equivalents).toBeLessThanOrEqual(plan.equivalents);
          }
        }
      }),
      { numRuns: 5 },
    );
  });
});

describe('reuses in a row', () => {
  it('take no place from a video that shows no object', () => {
    const plans = [{ kind: 'placed' }, { kind: 'whole' }] as const;
    const draw = (
      object: Float32Array | null,
      of: typeof plans | [(typeof plans)[0]],
    ): Set<unknown> => {
      const random = createRandomSource(1, 'draw');
      const donor = { vectors: { object, background: null } };
      return new Set(Array.from({ length: 40 }, () => drawPlan(of, donor, random)?.kind ?? null));
    };
    expect(draw(Float32Array.of(1), plans)).toEqual(new Set(['placed', 'whole']));
    expect(draw(null, plans)).toEqual(new Set(['whole']));
    expect(draw(null, [plans[0]])).toEqual(new Set([null]));
  });
});

describe('losses', () => {
  it('are 0 to the very same videos and grow with what other videos look like', () => {
    const full = videos(200, 'full', 0.9);
    const meter = new LossMeter(videos(200, 'reference', 0.9), 1);
    const same = meter.compare(full, full);
    expect(same.loss.adherence).toEqual({ mean: 0, low: 0, high: 0 });
    expect(same.loss.frechet.mean).toBe(0);
    const shifted = full.map((video) => ({
      ...video,
      tower: video.tower.map((value) => value + 0.3),
    }));
    const { loss, lower } = meter.compare(shifted, full);
    expect(lower.frechet).toBeGreaterThan(0.5);
    expect(loss.frechetJudge!.mean).toBe(0);
  });

  it('do without a judge', () => {
    const blind = videos(50, 'blind', 0.9).map((video) => ({
      ...video,
      adherence: null,
      features: null,
    }));
    const { loss, upper } = new LossMeter(blind, 1).compare(blind, blind);
    expect(loss.adherence).toBeNull();
    expect(loss.similarity.mean).toBe(0);
    expect(loss.frechetJudge).toBeUndefined();
    expect(upper.adherence).toBe(0);
  });
});

describe('what prompts ask for', () => {
  it('is read by all phrases of the demo world', async () => {
    const { manifest } = await loadManifest(DEMO_PACKAGE, { files: [] });
    const { attributes } = manifest.judge!;
    expect(isDemoWorld(attributes)).toBe(true);
    const read = (prompt: string): Record<string, string> =>
      Object.fromEntries(
        askedValues(attributes, prompt).flatMap((value, index) =>
          value === null ? [] : [[attributes[index]!.name, attributes[index]!.values[value]!]],
        ),
      );
    expect(read('A tiny emerald cube over a green meadow, at sunset')).toEqual({
      size: 'small',
      color: 'green',
      shape: 'square',
      scene: 'meadow',
      light: 'dusk',
    });
    expect(read('a jet black orb, getting bigger, under the dark sky')).toEqual({
      color: 'black',
      shape: 'ball',
      motion: 'grow',
      light: 'night',
    });
    // What made-up users say of it is all heard.
    const trace = generateTrace({ ...SYNTHETIC_DEFAULTS, requests: 300, seed: 5 });
    for (const { prompt } of trace) {
      expect(Object.keys(read(prompt)), prompt).toEqual(
        expect.arrayContaining(['shape', 'color', 'scene']),
      );
    }
  });

  it('is read by its own words of another judge', () => {
    const animals = { name: 'animal', part: 'object', values: ['cat', 'dog'] } as const;
    const read = (prompt: string): AskedValues => askedValues([animals], prompt);
    expect(read('two cats on a sofa')).toEqual([0]);
    expect(read('a cat and a dog')).toEqual([null]);
    expect(read('a sofa')).toEqual([null]);
  });
});

describe('the grid of starts', () => {
  it('has nothing that saves nothing, and regions only for packages that can', () => {
    const full = { solver: 'ab2', steps: 6 } as const;
    for (const supportsRegions of [true, false]) {
      const grid = startGrid('background', {
        full,
        supportsRegions,
        supportsPlaces: false,
        isQuick: false,
      });
      expect(grid.some(({ anchor }) => anchor === 'region')).toBe(supportsRegions);
      for (const { anchor, steps } of grid) {
        expect(steps).toBeLessThanOrEqual(anchor === 'region' ? 6 : 5);
      }
      expect(new Set(grid.map(nameOfStart)).size).toBe(grid.length);
    }
  });
});

describe('objectives', () => {
  it('keep their defaults where they are not named', () => {
    expect(parseObjective('fd:0.2')).toEqual({ adherence: 0.01, frechet: 0.2 });
    expect(parseObjective('adherence: 0.02, fd:0.1')).toEqual({ adherence: 0.02, frechet: 0.1 });
  });
});

describe('the work file', () => {
  it('keeps what was finished, and cuts off what a kill left of a line', async () => {
    const folder = join(await temporaryFolder(), 'deep');
    const path = join(folder, 'work.jsonl');
    const numbers = Float32Array.of(1.5, -2, 1e-9);
    const first = await WorkFile.open(folder, 'work');
    await first.add([{ key: 'a', numbers: packNumbers(numbers) }, { key: 'b' }]);
    await first.close();
    const whole = await readFile(path);
    await appendFile(path, '{"key":"c","numb');

    const second = await WorkFile.open(folder, 'work');
    expect(second.size).toBe(2);
    expect(unpackNumbers(second.get('a')!['numbers'])).toEqual(numbers);
    expect(second.get('c')).toBeUndefined();
    expect(await readFile(path)).toEqual(whole);
    await second.add([{ key: 'b', other: true }, { key: 'c' }]);
    await second.close();

    const third = await WorkFile.open(folder, 'work');
    expect(third.size).toBe(3);
    expect(third.get('b')).toEqual({ key: 'b' });
    await third.close();
  });

  it('finds what shares of the same work have measured, and leaves their files as they are', async () => {
    const folder = await temporaryFolder();
    const share = await WorkFile.open(folder, 'work', 'near_whole');
    await share.add([{ key: 'a' }]);
    const other = await WorkFile.open(folder, 'other');
    await other.add([{ key: 'z' }]);
    // A line that the share is writing just now.
    const path = join(folder, 'work.near_whole.jsonl');
    await appendFile(path, '{"key":"b"');
    const before = await readFile(path);

    const all = await WorkFile.open(folder, 'work');
    expect(all.size).toBe(1);
    expect(all.get('a')).toEqual({ key: 'a' });
    expect(await readFile(path)).toEqual(before);
    await Promise.all([share.close(), other.close(), all.close()]);
  });
});
