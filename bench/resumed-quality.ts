import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { BIT_DEPTHS } from '#codec/header.ts';
import type { DecodedLatent } from '#codec/decode-latent.ts';
import { startPoint } from '#core/calibration.ts';
import { dilate, fillDilatedHoles, objectPart } from '#core/compose.ts';
import type { Tensor } from '#core/tensor.ts';
import { loadManifest } from '#models/manifest.ts';
import { OnnxJudge } from '#models/onnx-judge.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import type { DonorParts } from '#models/sample-run.ts';
import { sample } from '#models/sampler.ts';
import { adherence, crossedTargets } from './world-prompts.ts';

/**
 * What quantising a donor does to the video that is resumed from it: every prompt is generated in
 * full, stored at each bit depth, and resumed with another seed from what was stored.
 *
 *     node bench/resumed-quality.ts [--count 32] [--start-time 0.3] [--steps 3] [--model DIR]
 */

const { values: flags } = parseArgs({
  options: {
    count: { type: 'string', default: '32' },
    'start-time': { type: 'string', default: '0.3' },
    steps: { type: 'string', default: '3' },
    model: { type: 'string', default: 'containers/demo-model/package' },
  },
});

const COMPATIBILITY_KEY = 'bench';
const modelPackage = await loadManifest(flags.model);
const { manifest } = modelPackage;
const attributes = manifest.judge?.attributes ?? [];
const model = await OnnxVideoModel.open(modelPackage);
const judge = OnnxJudge.open(modelPackage);
const { guidance, solver, steps: fullSteps } = manifest.scheduler;
const startTime = Number(flags['start-time']);
const steps = Number(flags.steps);

interface Row {
  adherence: number[];
  /** RMS difference of the resumed latent from the one resumed from the unquantised donor. */
  difference: number[];
  /** Squared distance of the judge's features to those of the unquantised resume. */
  features: number[];
  bytes: number[];
}
const rows = new Map<string, Row>();

for (const [index, wanted] of crossedTargets(Number(flags.count)).entries()) {
  const options = { latentShape: latentShape(manifest), prompt: wanted.prompt, guidance };
  const donor = await sample(
    model,
    { ...startPoint(1, fullSteps, solver), seed: 100 + index },
    null,
    options,
  );
  const mask = await model.segment(donor);
  const resume = (parts: DonorParts) =>
    sample(model, { ...startPoint(startTime, steps, solver), seed: 900 + index }, parts, options);
  const plain = await resume(partsOf(unquantised(donor, mask)));
  const judgedPlain = await judge.judge(plain);
  note('float32', donor.data.byteLength, plain, plain, judgedPlain.features, judgedPlain);
  for (const bits of BIT_DEPTHS) {
    const container = encodeLatent(
      { latent: donor, mask, compatibilityKey: COMPATIBILITY_KEY },
      { bits },
    );
    const stored = decodeLatent(container, { compatibilityKey: COMPATIBILITY_KEY });
    const resumed = await resume(partsOf(stored));
    const judged = await judge.judge(resumed);
    note(`${bits} bits`, container.byteLength, resumed, plain, judgedPlain.features, judged);
  }
  process.stderr.write(`${index + 1} ${wanted.prompt}\n`);

  function note(
    name: string,
    bytes: number,
    latent: Tensor,
    reference: Tensor,
    features: Float32Array,
    judged: { values: number[]; features: Float32Array },
  ): void {
    const row = rows.get(name) ?? { adherence: [], difference: [], features: [], bytes: [] };
    row.adherence.push(adherence(attributes, judged.values, wanted));
    row.difference.push(Math.sqrt(meanSquare(latent.data, reference.data)));
    row.features.push(meanSquare(judged.features, features));
    row.bytes.push(bytes);
    rows.set(name, row);
  }
}
await Promise.all([model.close(), judge.close()]);

const table = new Table({
  head: ['donor stored as', 'bytes', 'times smaller', 'adherence', 'RMS change', 'feature change'],
});
const plainBytes = mean(rows.get('float32')!.bytes);
for (const [name, row] of rows) {
  table.push([
    name,
    mean(row.bytes).toFixed(0),
    (plainBytes / mean(row.bytes)).toFixed(1),
    mean(row.adherence).toFixed(4),
    mean(row.difference).toFixed(4),
    mean(row.features).toFixed(4),
  ]);
}
console.log(table.toString());
console.log(
  `${flags.count} prompts resumed at t0 ${startTime} in ${steps} steps; changes against the resume from float32`,
);

function unquantised(latent: Tensor, mask: Tensor): DecodedLatent {
  const dilatedMask = dilate(mask);
  return {
    whole: latent,
    object: objectPart(latent, mask),
    background: fillDilatedHoles(latent, dilatedMask),
    mask,
    dilatedMask,
  };
}

function partsOf({ object, dilatedMask, background }: DecodedLatent): DonorParts {
  return { object: { object, dilatedMask }, background };
}

function meanSquare(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, index) => sum + (value - b[index]!) ** 2, 0) / a.length;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
