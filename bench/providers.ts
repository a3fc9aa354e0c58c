import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { startPoint } from '#core/planning/calibration.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { loadManifest } from '#models/manifest.ts';
import { EXECUTION_PROVIDERS, type ExecutionProvider } from '#models/execution-provider.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { sample } from '#models/sampler.ts';

/**
 * Makes the same video from noise with each of the named onnxruntime providers and says how long a
 * network evaluation and everything after the last one take, and how far the clean latents are apart.
 */
const USAGE = `node bench/providers.ts [--model containers/demo-model/package] [--denoiser-only] PROVIDER...`;
const PROMPT = 'a large red ball bouncing on a beach at sunset';
const SEED = 7;
const WARM_UP_STEPS = 2;

interface Made {
  latent: Tensor;
  loadSeconds: number;
  secondsPerStep: number;
  secondsAfter: number;
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'containers/demo-model/package' },
    'denoiser-only': { type: 'boolean', default: false },
  },
});
const providers = positionals.map((name) => {
  const provider = EXECUTION_PROVIDERS.find((known) => known === name);
  if (provider === undefined) throw new Error(`no provider ${name}: ${USAGE}`);
  return provider;
});
if (providers.length === 0)
  throw new Error(`name one of ${EXECUTION_PROVIDERS.join(', ')}: ${USAGE}`);

let first: Made | undefined;
for (const provider of providers) {
  const made = await make(provider);
  first ??= made;
  const { loadSeconds, secondsPerStep, secondsAfter } = made;
  console.log(
    `${provider.padEnd(6)}  ready ${loadSeconds.toFixed(2)} s  evaluation ${(1000 * secondsPerStep).toFixed(1)} ms  ` +
      `decode, segment, embed ${(1000 * secondsAfter).toFixed(1)} ms  ` +
      `from ${providers[0]}: ${relativeDistance(made.latent, first.latent).toExponential(1)}`,
  );
}

async function make(executionProvider: ExecutionProvider): Promise<Made> {
  const started = performance.now();
  const modelPackage = await loadManifest(resolve(flags.model));
  const model = await OnnxVideoModel.open(modelPackage, { executionProvider });
  try {
    const { steps, guidance, solver } = modelPackage.manifest.scheduler;
    const options = { latentShape: latentShape(modelPackage.manifest), prompt: PROMPT, guidance };
    const warm = { ...startPoint(1, WARM_UP_STEPS, solver), seed: SEED };
    await finish(model, await sample(model, warm, null, options));
    const loadSeconds = secondsSince(started);

    const begun = performance.now();
    const latent = await sample(
      model,
      { ...startPoint(1, steps, solver), seed: SEED },
      null,
      options,
    );
    const secondsPerStep = secondsSince(begun) / steps;
    const denoised = performance.now();
    await finish(model, latent);
    return { latent, loadSeconds, secondsPerStep, secondsAfter: secondsSince(denoised) };
  } finally {
    await model.close();
  }
}

async function finish(model: OnnxVideoModel, latent: Tensor): Promise<void> {
  if (flags['denoiser-only']) return;
  await model.decode(latent);
  await model.segment(latent);
  await model.embedParts(latent, null, ['whole']);
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}

/** Norm of the difference over the norm of the second. */
function relativeDistance(one: Tensor, other: Tensor): number {
  let difference = 0;
  let size = 0;
  for (const [index, value] of other.data.entries()) {
    difference += (one.data[index]! - value) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(difference / size);
}
