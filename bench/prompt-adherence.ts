/**
 * How well videos of a package show their prompts: what `cli/simulate/prompt-adherence.ts` draws from. Full
 * generations of every fifth request of a made-up trace's beginning; prints the cosines of each video's
 * vectors and its own prompt's.
 *
 *     node bench/prompt-adherence.ts [--model DIR] [--count 60] [--batch 4]
 */
import { parseArgs } from 'node:util';
import { startPoint } from '#core/planning/calibration.ts';
import { LOOKUP_PARTS } from '#core/generation.ts';
import { cosine } from '#core/cosine.ts';
import { SYNTHETIC_DEFAULTS } from '#simulation/traces/synthetic-parameters.ts';
import { generateTrace } from '#simulation/traces/generate-trace.ts';
import { openPackageVectors } from '#cli/simulate/prompt-vectors.ts';
import { keyOf } from '#cli/simulate/prompt-adherence.ts';
import { LatentReader } from '#models/latent-reader.ts';
import { loadManifest } from '#models/manifest.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { sampleBatch } from '#models/sample-batch.ts';
import { SampleRun } from '#models/sample-run.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'containers/demo-model/package' },
    count: { type: 'string', default: '60' },
    batch: { type: 'string', default: '4' },
  },
});
const EVERY = 5;
const modelPackage = await loadManifest(values.model);
const { manifest } = modelPackage;
const { guidance, steps, solver } = manifest.scheduler;
const requests = generateTrace({ ...SYNTHETIC_DEFAULTS, requests: 50_000, seed: 1 });
// The first line of a trace's file says what it is: line 6 is the fifth request.
const chosen = Array.from(
  { length: Number(values.count) },
  (_, index) => requests[(index + 1) * EVERY - 1]!,
);
const vectors = await openPackageVectors(values.model);
const asked = await vectors.embed(chosen.map(({ prompt }) => prompt));
await vectors.close();
const model = await OnnxVideoModel.open(modelPackage);
const reader = LatentReader.open(modelPackage);

const samples = chosen.map(({ prompt, seed }, index) => ({
  prompt,
  run: new SampleRun(
    { ...startPoint(1, steps, solver), seed: seed ?? index },
    { latentShape: latentShape(manifest), donors: null },
  ),
}));
const latents = await sampleBatch(model, samples, { guidance, batch: Number(values.batch) });

const rows: number[][] = [];
for (const [index, latent] of latents.entries()) {
  const [mask] = await reader.segment([latent]);
  const [whole, object, background] = await reader.embedParts([
    { latent, mask: mask!, parts: LOOKUP_PARTS },
  ]);
  const { whole: askedWhole, object: askedObject, background: askedBackground } = asked[index]!;
  // What a prompt does not name, its video shows as it likes.
  if (askedObject === null || askedBackground === null) continue;
  const cosines = [
    [askedWhole, whole!],
    [askedObject, object!],
    [askedBackground, background!],
  ].map(([text, video]) => cosine(Array.from(text!), Array.from(video!)));
  rows.push(cosines.map((value) => Number(value.toFixed(3))));
}
console.log(`// key ${keyOf(manifest)}`);
for (const row of rows) console.log(`  [${row.join(', ')}],`);
const means = [0, 1, 2].map(
  (column) => rows.reduce((sum, row) => sum + row[column]!, 0) / rows.length,
);
console.log(`// means: ${means.map((value) => value.toFixed(3)).join(', ')}`);
await Promise.all([model.close(), reader.close()]);
