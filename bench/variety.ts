import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { DefaultCalibration, startPoint, type StartPoint } from '#core/calibration.ts';
import { dilate, fillDilatedHoles, objectPart } from '#core/compose.ts';
import type { HitKind } from '#core/generation.ts';
import { limitReuse } from '#core/limit-reuse.ts';
import type { Tensor } from '#core/tensor.ts';
import { varietyOf } from '#core/variety.ts';
import { loadManifest } from '#models/manifest.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import type { DonorParts } from '#models/sample-run.ts';
import { sample } from '#models/sampler.ts';
import { crossedTargets } from './world-prompts.ts';

/**
 * How much another seed changes a video: for every kind of hit, and for whole hits at several
 * `maxReuse`, the mean squared difference of the latents that two seeds make of the same donor, beside
 * that of two full generations.
 *
 *     node bench/variety.ts [--count 4] [--model DIR]
 */

const { values: flags } = parseArgs({
  options: {
    count: { type: 'string', default: '4' },
    model: { type: 'string', default: 'containers/demo-model/package' },
  },
});

const ASKED: readonly { hit: HitKind; maxReuse: number }[] = [
  ...[1, 0.5, 0.3, 0.2, 0.1].map((maxReuse) => ({ hit: 'whole' as const, maxReuse })),
  { hit: 'object+background', maxReuse: 1 },
  { hit: 'object', maxReuse: 1 },
  { hit: 'background', maxReuse: 1 },
];

const modelPackage = await loadManifest(flags.model);
const { manifest } = modelPackage;
const model = await OnnxVideoModel.open(modelPackage);
const { guidance, solver, steps: fullSteps } = manifest.scheduler;
const calibration = new DefaultCalibration(manifest.lookup.thresholds, solver);
const differences = new Map<string, number[]>();

for (const [index, { prompt }] of crossedTargets(Number(flags.count)).entries()) {
  const options = { latentShape: latentShape(manifest), prompt, guidance };
  const make = (seed: number, start: StartPoint, parts: DonorParts | null) =>
    sample(model, { ...start, seed }, parts, options);
  const fromNoise = startPoint(1, fullSteps, solver);
  const [donor, other] = [
    await make(100 + index, fromNoise, null),
    await make(200 + index, fromNoise, null),
  ];
  note('miss, t0 1.00', donor, other);
  const mask = await model.segment(donor);
  const dilatedMask = dilate(mask);
  const object = { object: objectPart(donor, mask), dilatedMask };
  const background = fillDilatedHoles(donor, dilatedMask);
  for (const { hit, maxReuse } of ASKED) {
    const start = limitReuse(calibration, { minSimilarity: 0, maxReuse }).decide(hit, 1, fullSteps);
    if (start === null) continue;
    const parts = {
      object: hit === 'background' ? null : object,
      background: hit === 'object' ? null : background,
    };
    const made: Tensor[] = [];
    for (const seed of [300 + index, 400 + index]) {
      made.push(await make(seed, start, parts));
    }
    const name = `${hit}, t0 ${start.startTime.toFixed(2)}`;
    note(name, made[0]!, made[1]!);
  }
  process.stderr.write(`${index + 1} ${prompt}\n`);
}
await model.close();

function note(name: string, one: Tensor, other: Tensor): void {
  let sum = 0;
  for (const [index, value] of one.data.entries()) sum += (value - other.data[index]!) ** 2;
  differences.set(name, [...(differences.get(name) ?? []), sum / one.data.length]);
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const full = mean(differences.get('miss, t0 1.00')!);
const table = new Table({
  head: ['started from', 'difference', 'of two full generations', 'variety'],
});
for (const [name, values] of differences) {
  const [hit, startTime] = name.split(', t0 ') as [HitKind, string];
  const difference = mean(values);
  table.push([
    name,
    difference.toFixed(3),
    `${((100 * difference) / full).toFixed(0)} %`,
    varietyOf({ hit, startTime: Number(startTime) }),
  ]);
}
console.log(table.toString());
