import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { decodeLatent, type DecodedLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { startPoint } from '#core/planning/calibration.ts';
import { SOLVERS, type SolverName } from '#core/generation.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import { DenoiseClock } from '#denoiser/denoise-clock.ts';
import { EXECUTION_PROVIDERS } from '#models/execution-provider.ts';
import { compatibilityOf, loadManifest } from '#models/manifest.ts';
import { OnnxJudge } from '#models/onnx-judge.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { RunAnswers } from '#models/run-answers.ts';
import { SampleRun, type DonorParts, type SamplePlan } from '#models/sample-run.ts';
import { adherence, crossedTargets, placedTargets, type Target } from './world-prompts.ts';

/**
 * What denoising only the object's region of a background hit saves, in evaluations and in seconds, and
 * what it costs in adherence. For each of N prompts a donor is made that shows another object on the same
 * background; its background, as the cache keeps it, is what plans get: none of it (a full generation),
 * anchored, by a region that two full evaluations find and, where the package was trained for it, in the
 * place of the donor's object, from another donor whose object has the size and motion asked for.
 *
 *     node bench/regions.ts [--count 8] [--provider cpu|cuda] [--model DIR] [--json]
 *
 * `gain` is the share of the arithmetic gain that the clock shows: 1 - seconds / full seconds over
 * 1 - equivalents / full evaluations. Seconds are medians of the denoiser's alone and want a quiet machine.
 */

const { values: flags } = parseArgs({
  options: {
    count: { type: 'string', default: '8' },
    provider: { type: 'string', default: 'cpu' },
    model: { type: 'string', default: 'containers/demo-model/package' },
    /** Of a full generation; the package's unless said. */
    steps: { type: 'string' },
    solver: { type: 'string' },
    start: { type: 'string', default: '0.95' },
    'anchored-steps': { type: 'string', default: '4' },
    /** Steps of the plans for a region, with commas; those of a full generation unless said. */
    'region-steps': { type: 'string' },
    /** Steps and solvers of the plans for a given place, with commas. */
    place: { type: 'string', default: '4/dpmpp-2m,5/ab2,6/ab2' },
    /** How the region is found; see `RegionFacts`. Several of each with commas. */
    before: { type: 'string', default: '2' },
    margin: { type: 'string', default: '0' },
    /** What of the place of the donor's own object is denoised: all of it that was filled, what no frame shows, none. */
    hole: { type: 'string', default: 'filled' },
    threads: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const executionProvider = oneOf('provider', EXECUTION_PROVIDERS, flags.provider);
const modelPackage = await loadManifest(flags.model);
const { manifest } = modelPackage;
const options = {
  executionProvider,
  ...(flags.threads !== undefined && { intraOpThreads: Number(flags.threads) }),
};
const model = await OnnxVideoModel.open(modelPackage, options);
const judge = OnnxJudge.open(modelPackage, options);
const attributes = manifest.judge?.attributes ?? [];
const { guidance } = manifest.scheduler;
const steps = Number(flags.steps ?? manifest.scheduler.steps);
const solver = oneOf<SolverName>('solver', SOLVERS, flags.solver ?? manifest.scheduler.solver);
const key = compatibilityKey(compatibilityOf(modelPackage));

const HOLES = ['filled', 'unseen', 'none'] as const;
type Hole = (typeof HOLES)[number];

interface Trial {
  name: string;
  plan: Omit<SamplePlan, 'seed'>;
  before?: number;
  margin?: number;
  hole?: Hole;
}

const start = Number(flags.start);
const trials: Trial[] = [
  { name: `full, ${steps} steps`, plan: startPoint(1, steps, solver) },
  {
    name: `anchored, ${flags['anchored-steps']} steps`,
    plan: { ...startPoint(start, Number(flags['anchored-steps']), solver), anchor: 'background' },
  },
];
for (const regionSteps of numbers(flags['region-steps'] ?? String(steps))) {
  for (const before of numbers(flags.before)) {
    for (const margin of numbers(flags.margin)) {
      for (const hole of flags.hole.split(',').map((each) => oneOf('hole', HOLES, each))) {
        trials.push({
          name: `region, ${regionSteps} steps, ${before} full, margin ${margin}, hole ${hole}`,
          plan: { ...startPoint(start, regionSteps, solver), anchor: 'region' },
          before,
          margin,
          hole,
        });
      }
    }
  }
}

if (manifest.regions?.trained === true) {
  for (const each of flags.place.split(',')) {
    const [placeSteps, named] = each.split('/');
    const ofPlace = startPoint(1, Number(placeSteps), oneOf('place', SOLVERS, named ?? solver));
    trials.push({
      name: `placed, ${placeSteps} steps of ${ofPlace.solver}`,
      plan: { ...ofPlace, anchor: 'place' },
    });
  }
}

interface Outcome {
  adherence: number;
  object: number;
  background: number;
  equivalents: number;
  seconds: number;
}

const outcomes = new Map<string, Outcome[]>(trials.map(({ name }) => [name, []]));
await model.warmUp();
for (const [index, pair] of pairs(Number(flags.count)).entries()) {
  const donor = await storedDonor(pair.donor, 100 + index);
  const placed =
    manifest.regions?.trained === true ? await storedDonor(pair.placed, 200 + index) : donor;
  for (const trial of trials) {
    const { background, dilatedMask } = trial.plan.anchor === 'place' ? placed : donor;
    const hole = holeOf(dilatedMask, trial.hole);
    const parts = trial === trials[0] ? null : { object: null, background, hole };
    const made = await run(pair.target, trial, 1000 + index, parts);
    const { values } = await judge.judge(made.latent);
    outcomes.get(trial.name)!.push({
      adherence: adherence(attributes, values, pair.target),
      object: adherence(attributes, values, pair.target, 'object'),
      background: adherence(attributes, values, pair.target, 'background'),
      equivalents: made.equivalents,
      seconds: made.seconds,
    });
  }
}
await Promise.all([model.close(), judge.close()]);

const fullSeconds = median(outcomes.get(trials[0]!.name)!.map(({ seconds }) => seconds));
const rows = trials.map(({ name }) => {
  const all = outcomes.get(name)!;
  const seconds = median(all.map((outcome) => outcome.seconds));
  const equivalents = mean(all, 'equivalents');
  const arithmetic = 1 - equivalents / steps;
  return {
    name,
    count: all.length,
    adherence: mean(all, 'adherence'),
    object: mean(all, 'object'),
    background: mean(all, 'background'),
    equivalents,
    compute: equivalents / steps,
    seconds,
    gain: arithmetic > 0 ? (1 - seconds / fullSeconds) / arithmetic : null,
  };
});
if (flags.json) {
  console.log(
    JSON.stringify({
      provider: executionProvider,
      model: modelPackage.revision,
      solver,
      steps,
      rows,
    }),
  );
} else {
  const table = new Table({
    head: ['', 'n', 'adherence', 'object', 'background', 'equivalents', 'of full', 's', 'gain'],
  });
  for (const row of rows) {
    table.push([
      row.name,
      row.count,
      ...[row.adherence, row.object, row.background].map((share) => share.toFixed(4)),
      row.equivalents.toFixed(2),
      `${(100 * row.compute).toFixed(0)} %`,
      row.seconds.toFixed(3),
      row.gain === null ? '' : `${(100 * row.gain).toFixed(0)} %`,
    ]);
  }
  console.log(table.toString());
}

/** Prompts, each with another that asks for another object on the same background. */
function pairs(count: number): { target: Target; donor: Target; placed: Target }[] {
  const all = crossedTargets(Infinity);
  const ofPlace = placedTargets(Infinity);
  const stride = Math.max(1, Math.floor(all.length / count));
  return all
    .filter((_, index) => index % stride === 0)
    .slice(0, count)
    .map((target) => {
      const others = all.filter(
        ({ truth }) =>
          truth['scene'] === target.truth['scene'] && truth['shape'] !== target.truth['shape'],
      );
      const donor = others[target.prompt.length % others.length]!;
      return { target, donor, placed: ofPlace[all.indexOf(target)]! };
    });
}

/** A video of the prompt as the cache keeps it. */
async function storedDonor(of: Target, seed: number): Promise<DecodedLatent> {
  const { latent } = await run(of, trials[0]!, seed, null);
  const mask = (await model.segment(latent))!;
  const stored = encodeLatent({ latent, mask, compatibilityKey: key });
  return decodeLatent(stored, { compatibilityKey: key, shape: latentShape(manifest) });
}

function holeOf(filled: Tensor, hole: Hole = 'filled'): Tensor | null {
  if (hole === 'none') return null;
  if (hole === 'filled') return filled;
  const [frames, ...positions] = filled.shape;
  const count = elementCount(positions);
  const isUnseen = (position: number): boolean =>
    Array.from({ length: frames! }, (_, frame) => filled.data[frame * count + position]!).every(
      (value) => value > 0,
    );
  return {
    data: filled.data.map((_, index) => (isUnseen(index % count) ? 1 : 0)),
    shape: filled.shape,
  };
}

async function run(
  { prompt }: Target,
  { plan, before, margin }: Trial,
  seed: number,
  donors: DonorParts | null,
) {
  const clock = new DenoiseClock(model);
  const { regions } = model;
  const sampling = new SampleRun(
    { ...plan, seed },
    {
      latentShape: latentShape(manifest),
      donors,
      regions: regions && {
        patch: regions.patch,
        isTrained: regions.isTrained,
        ...(before !== undefined && { evaluationsBefore: before }),
        ...(margin !== undefined && { margin }),
      },
    },
  );
  const [condition, unconditional] = [await model.encodeText(prompt), await model.encodeText(null)];
  const answers = new RunAnswers(clock, { condition, unconditional, guidance });
  for (let request = sampling.next(); request !== null; request = sampling.next()) {
    sampling.accept(await answers.answer(request));
  }
  await answers.release();
  return {
    latent: sampling.result(),
    equivalents: sampling.equivalents,
    seconds: clock.work.denoiseSeconds,
  };
}

function oneOf<T extends string>(name: string, values: readonly T[], value: string): T {
  const found = values.find((one) => one === value);
  if (found === undefined) throw new Error(`--${name} ${value}: give one of ${values.join(', ')}`);
  return found;
}

function numbers(list: string): number[] {
  return list.split(',').map(Number);
}

function mean(all: readonly Outcome[], field: keyof Outcome): number {
  return all.reduce((sum, outcome) => sum + outcome[field], 0) / all.length;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
