import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { startPoint, type StartPoint } from '#core/planning/calibration.ts';
import { dilate, fillDilatedHoles, objectPart } from '#core/latents/compose.ts';
import type { Anchor, HitKind } from '#core/generation.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { varietyOf } from '#core/planning/variety.ts';
import { loadManifest } from '#models/manifest.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import type { DonorParts } from '#models/sample-run.ts';
import { sample } from '#models/sampler.ts';
import { crossedTargets } from './world-prompts.ts';

/**
 * How much another seed changes a video, by what it is started from, when and how: the mean squared difference of
 * the latents that two seeds make of the same donor, beside that of two full generations. The donor of each prompt
 * is a full generation of it.
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

const modelPackage = await loadManifest(flags.model);
const { manifest } = modelPackage;
const model = await OnnxVideoModel.open(modelPackage);
const { guidance, solver, steps: fullSteps } = manifest.scheduler;
/** With steps as long as those of a full generation, whether that saves one or not. */
const at = (startTime: number, anchor: Anchor = 'none'): StartPoint => ({
  ...startPoint(startTime, Math.ceil(startTime * fullSteps), solver),
  anchor,
});
const STARTS: readonly { hit: HitKind; start: StartPoint }[] = [
  ...[0.3, 0.5, 0.7, 0.8, 0.9].map((time) => ({ hit: 'whole' as const, start: at(time) })),
  { hit: 'object+background', start: at(0.7) },
  { hit: 'object', start: at(0.9) },
  ...[0.9, 0.95].map((time) => ({ hit: 'background' as const, start: at(time) })),
  { hit: 'background', start: at(0.95, 'background') },
  ...(manifest.regions === undefined
    ? []
    : [0.9, 0.95].map((time) => ({ hit: 'background' as const, start: at(time, 'region') }))),
  ...(manifest.regions?.trained === true
    ? [{ hit: 'background' as const, start: at(1, 'place') }]
    : []),
];

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
  const mask = (await model.segment(donor))!;
  const dilatedMask = dilate(mask);
  const object = { object: objectPart(donor, mask), dilatedMask };
  const background = fillDilatedHoles(donor, dilatedMask);
  for (const { hit, start } of STARTS) {
    if (flags.hit !== undefined && hit !== flags.hit) continue;
    const parts = {
      object: hit === 'background' ? null : object,
      background: hit === 'object' ? null : background,
      hole: hit === 'object' ? null : dilatedMask,
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
  const anchor = start.anchor === 'none' ? '' : `, ${start.anchor}`;
  const name = `${hit}${anchor}, t0 ${start.startTime.toFixed(2)}`;
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
