import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { quantileOf } from '#core/statistics/intervals.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { EXECUTION_PROVIDERS } from '#models/execution-provider.ts';
import { loadManifest } from '#models/manifest.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { gpuName } from './gpu-memory.ts';

/**
 * Whether a package's denoiser gains by evaluating several requests in one call, and whether a request's
 * numbers are then the same as alone.
 *
 *     node bench/batches.ts [--model containers/demo-model/package] [--provider cpu] [--sizes 1,2,4,8]
 *         [--rounds 9] [--unguided]
 *
 * Each round evaluates every size once, in turns, so that a machine that others use too is as busy for one
 * as for the other. `milliseconds` is the median of a call, `fastest` the least disturbed one, by which `speedup`
 * says what a request takes alone over its share of the call. `equal` counts the requests of a call that have the same
 * bits as alone; `difference` is the largest root mean square difference relative to the velocity's own.
 */
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'containers/demo-model/package' },
    provider: { type: 'string', default: 'cpu' },
    sizes: { type: 'string', default: '1,2,4,8' },
    rounds: { type: 'string', default: '9' },
    unguided: { type: 'boolean', default: false },
  },
});
const executionProvider = EXECUTION_PROVIDERS.find((known) => known === flags.provider);
if (executionProvider === undefined) {
  throw new Error(`name one of ${EXECUTION_PROVIDERS.join(', ')} as --provider`);
}
const sizes = [...new Set([1, ...flags.sizes.split(',').map(Number)])];
const rounds = Number(flags.rounds);
const PROMPTS = [
  'a small red ball bouncing over a green meadow at noon',
  'a blue star over the sea at night',
  'a large yellow cube in a desert at dawn',
  'a purple ring circling in front of a brick wall at dusk',
];

const modelPackage = await loadManifest(resolve(flags.model));
const { manifest } = modelPackage;
const guidance = flags.unguided ? 1 : manifest.scheduler.guidance;
const shape = latentShape(manifest);
const model = await OnnxVideoModel.open(modelPackage, { executionProvider });
try {
  const unconditional = await model.encodeText(null);
  const conditions = await Promise.all(PROMPTS.map((prompt) => model.encodeText(prompt)));
  const requests = Array.from({ length: Math.max(...sizes) }, (_, index) => ({
    latent: standardNormalNoise(shape, index, 'latent'),
    // Requests that meet in a batch are at steps of their own.
    time: 1 - (index % 8) / 10,
    condition: conditions[index % conditions.length]!,
  }));
  const evaluate = (from: number, count: number): Promise<Tensor[]> =>
    model.velocities(requests.slice(from, from + count), unconditional, guidance);
  const alone: Tensor[] = [];
  for (const index of requests.keys()) alone.push((await evaluate(index, 1))[0]!);
  const together = new Map<number, Tensor[]>();
  for (const size of sizes) together.set(size, await evaluate(0, size));

  const milliseconds = new Map<number, number[]>(sizes.map((size) => [size, []]));
  for (let round = 0; round < rounds; round++) {
    for (const size of sizes) {
      const begun = performance.now();
      await evaluate(0, size);
      milliseconds.get(size)!.push(performance.now() - begun);
    }
  }
  const median = (size: number): number => quantileOf(milliseconds.get(size)!, 0.5);
  const fastest = (size: number): number => Math.min(...milliseconds.get(size)!);
  console.log(
    JSON.stringify(
      {
        model: manifest.name,
        latent: shape,
        guidance,
        provider: executionProvider,
        gpu: gpuName(),
        cores: availableParallelism(),
        rounds,
        batches: sizes.map((size) => {
          const differences = together
            .get(size)!
            .map((velocity, row) => relativeDifference(velocity, alone[row]!));
          return {
            size,
            milliseconds: rounded(median(size)),
            fastest: rounded(fastest(size)),
            evaluationsPerSecond: rounded((1000 * size) / fastest(size)),
            speedup: rounded((size * fastest(1)) / fastest(size)),
            equal: differences.filter((difference) => difference === 0).length,
            difference: Math.max(...differences),
          };
        }),
      },
      null,
      1,
    ),
  );
} finally {
  await model.close();
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** 0 only where every bit is the same. */
function relativeDifference(one: Tensor, other: Tensor): number {
  let difference = 0;
  let size = 0;
  for (const [index, value] of one.data.entries()) {
    difference += (value - other.data[index]!) ** 2;
    size += other.data[index]! ** 2;
  }
  return Math.sqrt(difference / size);
}
