import { parseArgs } from 'node:util';
import { FlexCacheError } from '#core/errors.ts';
import { startPoint } from '#core/planning/calibration.ts';
import { mean, quantileOf } from '#core/statistics/intervals.ts';
import { LatentReader } from '#models/latent-reader.ts';
import { loadManifest } from '#models/manifest.ts';
import { objectMaskOf } from '#models/object-mask.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { sample } from '#models/sampler.ts';
import { crossedTargets } from './world-prompts.ts';

/**
 * How the objects that a package finds by attention or in frames agree with those of a segmenter of latents: the intersection
 * over the union of both masks, in full generations. The package brings the segmenter beside what its `objectMask` names.
 *
 *     node bench/object-masks.ts --model DIR [--count 24]
 */

const { values: flags } = parseArgs({
  options: { model: { type: 'string' }, count: { type: 'string', default: '24' } },
});
const modelPackage = await loadManifest(flags.model ?? '');
const { manifest } = modelPackage;
if (manifest.files.segmenter === undefined || objectMaskOf(manifest)?.source === 'segmenter') {
  throw new FlexCacheError('model_missing', 'there are no two masks to compare', {
    fix: 'name a package that brings a segmenter and has another objectMask.source',
  });
}
const model = await OnnxVideoModel.open(modelPackage);
const reader = LatentReader.open({
  ...modelPackage,
  manifest: { ...manifest, objectMask: { source: 'segmenter', dilation: 0 } },
});
const { guidance, solver, steps } = manifest.scheduler;
const agreements: number[] = [];
for (const [index, { prompt }] of crossedTargets(Number(flags.count)).entries()) {
  const latent = await sample(model, { ...startPoint(1, steps, solver), seed: index }, null, {
    latentShape: latentShape(manifest),
    schedule: manifest.scheduler,
    prompt,
    guidance,
  });
  const found = (await model.segment(latent))!.data;
  const [expected] = await reader.segment([latent]);
  let [both, either] = [0, 0];
  for (const [position, value] of expected!.data.entries()) {
    both += Math.min(value, found[position]!);
    either += Math.max(value, found[position]!);
  }
  agreements.push(either === 0 ? 1 : both / either);
  console.log(`${agreements.at(-1)!.toFixed(3)}  ${prompt}`);
}
const median = quantileOf(
  [...agreements].sort((one, other) => one - other),
  0.5,
);
console.log(
  `mean ${mean(agreements).toFixed(3)}, median ${median.toFixed(3)}, least ${Math.min(...agreements).toFixed(3)}`,
);
await Promise.all([model.close(), reader.close()]);
