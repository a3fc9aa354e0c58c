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
 *     node bench/variety.ts [--count 4] [--hit background] [--model DIR]
 */

const { values: flags } = parseArgs({
  options: {
    count: { type: 'string', default: '4' },
    hit: { type: 'string' },
    model: { type: 'string', default: 'containers/demo-model/package' },
  },
});

const ASKED: readonly { hit: HitKind; maxReuse: number }[] = [
  ...[1, 0.5, 0.3, 0.2, 0.1].map((maxReuse) => ({ hit: 'whole' as const, maxReuse })),
  { hit: 'object+background', maxReuse: 1 },
  { hit: 'object', maxReuse: 1 },
  { hit: 'background', maxReuse: 1 },
];

/** A background that is held while the object is denoised. */
const HELD: StartPoint = { ...startPoint(0.95, 5, 'ab2'), anchor: 'background' };

const modelPackage = await loadManifest(flags.model);
const { manifest } = modelPackage;
const model = await OnnxVideoModel.open(modelPackage);
const { guidance, solver, steps: fullSteps } = manifest.scheduler;
const calibration = new DefaultCalibration(manifest.lookup.thresholds, solver);

interface Row {
  hit: HitKind;
  start: StartPoint;
  differences: number[];
}
const rows = new Map<string, Row>();

for (const [index, { prompt }] of crossedTargets(Number(flags.count)).entries()) {
  const options = { latentShape: latentShape(manifest), prompt, guidance };
  const make = (seed: number, start: StartPoint, parts: DonorParts | null) =>
    sample(model, { ...start, seed }, parts, options);
  const fromNoise = startPoint(1, fullSteps, solver);
  const [donor, other] = [
    await make(100 + index, fromNoise, null),
    await make(200 + index, fromNoise, null),
  ];
  note('miss', fromNoise, donor, other);
  const mask = await model.segment(donor);
  const dilatedMask = dilate(mask);
  const object = { object: objectPart(donor, mask), dilatedMask };
  const background = fillDilatedHoles(donor, dilatedMask);
  const starts: { hit: HitKind; start: StartPoint | null }[] = [
    ...ASKED.map(({ hit, maxReuse }) => ({
      hit,
      start: limitReuse(calibration, { minSimilarity: 0, maxReuse }).decide(hit, 1, fullSteps),
    })),
    { hit: 'background', start: HELD },
  ];
  for (const { hit, start } of starts) {
    if (start === null || (flags.hit !== undefined && hit !== flags.hit)) continue;
    const parts = {
      object: hit === 'background' ? null : object,
      background: hit === 'object' ? null : background,
    };
    const made: Tensor[] = [];
    for (const seed of [300 + index, 400 + index]) {
      made.push(await make(seed, start, parts));
    }
    note(hit, start, made[0]!, made[1]!);
  }
  process.stderr.write(`${index + 1} ${prompt}\n`);
}
await model.close();

function note(hit: HitKind, start: StartPoint, one: Tensor, other: Tensor): void {
  let sum = 0;
  for (const [index, value] of one.data.entries()) sum += (value - other.data[index]!) ** 2;
  const held = start.anchor === 'none' ? '' : ', held';
  const name = `${hit}${held}, t0 ${start.startTime.toFixed(2)}`;
  const row = rows.get(name) ?? { hit, start, differences: [] };
  row.differences.push(sum / one.data.length);
  rows.set(name, row);
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const full = mean(rows.get('miss, t0 1.00')!.differences);
const table = new Table({
  head: ['started from', 'difference', 'of two full generations', 'variety'],
});
for (const [name, { hit, start, differences }] of rows) {
  const difference = mean(differences);
  table.push([
    name,
    difference.toFixed(3),
    `${((100 * difference) / full).toFixed(0)} %`,
    varietyOf({ hit, ...start }),
  ]);
}
console.log(table.toString());
