import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { prefixBytes, readHeader } from '#codec/header.ts';
import { FIRST_CELL, LAYERS, layersFor } from '#codec/layers.ts';
import { dilate, fillDilatedHoles, latentInside } from '#core/latents/compose.ts';
import type { SolverName } from '#core/generation.ts';
import { FrechetReference } from '#core/statistics/frechet.ts';
import { bootstrapEstimate, mean, type Estimate } from '#core/statistics/intervals.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import { donorParts } from '#denoiser/donors.ts';
import type { ExecutionProvider } from '#models/execution-provider.ts';
import { LatentReader } from '#models/latent-reader.ts';
import { loadManifest } from '#models/manifest.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { sampleBatch, type BatchSample } from '#models/sample-batch.ts';
import { SampleRun } from '#models/sample-run.ts';
import { rateDistortionCurve } from './rate-distortion-figure.ts';
import { adherence, crossedTargets } from './world-prompts.ts';

/**
 * Rate and distortion on the final video: every prompt is generated in full, stored at several rates, and
 * resumed with another seed at several start times from what was stored. The distortion is that of what
 * comes out, against what comes out of the unquantised latent.
 *
 *     node bench/rate-distortion.ts [--provider cuda] [--count 512] [--batch 32] [--out docs/figures/rate-distortion.json]
 */
const { values: flags } = parseArgs({
  options: {
    provider: { type: 'string', default: 'cpu' },
    count: { type: 'string', default: '16' },
    batch: { type: 'string', default: '4' },
    steps: { type: 'string', default: '3' },
    'full-steps': { type: 'string', default: '6' },
    'start-times': { type: 'string', default: '0.3,0.6,0.7,0.8' },
    rates: { type: 'string', default: '20:1,14:1,10:1,7:1,5:1,5:2,5:3' },
    solver: { type: 'string', default: 'ab2' },
    seed: { type: 'string', default: '1' },
    model: { type: 'string', default: 'containers/demo-model/package' },
    out: { type: 'string' },
    figure: { type: 'string' },
  },
});

/** What is resumed from. */
type Stored =
  /** The latent itself, which other rows are compared with. */
  | { kind: 'unquantised' }
  /** The latent itself with other noise: what of a difference is chance. */
  | { kind: 'another seed' }
  /** A container's first layers, read for re-noising. */
  | { kind: 'noise'; firstCell: number; layers: number }
  /** The same read for showing: errors are small, and do not count as noise. */
  | { kind: 'shown'; firstCell: number; layers: number };

/** One row of the result: a rate at a start time. */
export interface RatePoint {
  stored: Stored;
  startTime: number;
  bytes: number;
  bitsPerValue: number;
  adherence: Estimate;
  /** Of the unquantised less this, pair by pair. */
  adherenceLoss: Estimate;
  /** RMS difference of the final latent to the one from the unquantised donor. */
  latentDistance: Estimate;
  /** Cosine distance of the video's vector to that of the one from the unquantised donor. */
  vectorDistance: Estimate;
  /** Squared Frechet distance of the video tower's vectors to those of the full generations. */
  frechet: number;
}

/** Principal components that Frechet distances count: those of as many videos can be told. */
const FRECHET_COMPONENTS = 32;

const modelPackage = await loadManifest(flags.model);
const { manifest } = modelPackage;
const attributes = manifest.judge?.attributes ?? [];
const executionProvider = flags.provider as ExecutionProvider;
const model = await OnnxVideoModel.open(modelPackage, { executionProvider });
const reader = LatentReader.open(modelPackage, { executionProvider });
const count = Number(flags.count);
const batch = Number(flags.batch);
const seed = Number(flags.seed);
const solver = flags.solver as SolverName;
const shape = latentShape(manifest);
const compatibilityKey = 'bench';
const { guidance } = manifest.scheduler;
const prompts = crossedTargets(72);
const targets = Array.from({ length: count }, (_, index) => prompts[index % prompts.length]!);

const donors = await makeAll(
  targets.map(({ prompt }, index) => ({
    prompt,
    run: new SampleRun(plan(1, Number(flags['full-steps']), 10_000 * seed + index), {
      latentShape: shape,
      donors: null,
    }),
  })),
);
const masks = (await inBatches(donors, (some) => reader.segment(some))).flat();
const reference = new FrechetReference(
  await inBatches(donors, (some) => reader.embed(some)),
  FRECHET_COMPONENTS,
);
process.stderr.write(`${count} videos in full\n`);

const rates = flags.rates.split(',').map((rate) => rate.split(':').map(Number));
const storedAs: Stored[] = [
  { kind: 'unquantised' },
  { kind: 'another seed' },
  ...rates.map(([firstCell, layers]): Stored => ({
    kind: 'noise',
    firstCell: firstCell!,
    layers: layers!,
  })),
  { kind: 'shown', firstCell: FIRST_CELL, layers: 1 },
];

const points: RatePoint[] = [];
for (const startTime of flags['start-times'].split(',').map(Number)) {
  let plain: Resumed | null = null;
  for (const stored of storedAs) {
    const resumed = await resume(stored, startTime);
    plain ??= resumed;
    points.push(compare(stored, startTime, resumed, plain));
    process.stderr.write(`${nameOf(stored)} at ${startTime}\n`);
  }
}
await Promise.all([model.close(), reader.close()]);
report();

interface Resumed {
  bytes: number[];
  latents: Tensor[];
  adherence: number[];
  vectors: Float32Array[];
}

async function resume(stored: Stored, startTime: number): Promise<Resumed> {
  const bytes: number[] = [];
  const samples = function* (): Generator<BatchSample> {
    for (const [index, { prompt }] of targets.entries()) {
      const runSeed = 20_000 * seed + index + (stored.kind === 'another seed' ? 1_000_000 : 0);
      const read = readDonor(stored, index, runSeed);
      bytes.push(read.bytes);
      const run = new SampleRun(plan(startTime, Number(flags.steps), runSeed), {
        latentShape: shape,
        donors: read.parts,
      });
      yield { prompt, run };
    }
  };
  const latents = await makeAll(samples());
  const judged = await inBatches(latents, (some) => reader.judge(some));
  return {
    bytes,
    latents,
    adherence: judged.map(({ values }, index) => adherence(attributes, values, targets[index]!)),
    vectors: await inBatches(latents, (some) => reader.embed(some)),
  };
}

function readDonor(stored: Stored, index: number, noiseSeed: number) {
  const latent = donors[index]!;
  const mask = masks[index]!;
  const donor = { entryId: '', part: 'whole', similarity: 1, latentKey: '' } as const;
  if (stored.kind === 'unquantised' || stored.kind === 'another seed') {
    const dilatedMask = dilate(mask);
    const decoded = {
      whole: latent,
      object: latentInside(latent, dilatedMask),
      background: fillDilatedHoles(latent, dilatedMask),
      mask,
      dilatedMask,
      errorVariance: 0,
    };
    return { bytes: latent.data.byteLength, parts: donorParts([{ donor, latent: decoded }]) };
  }
  const { firstCell, layers, kind } = stored;
  const file = encodeLatent({ latent, mask, compatibilityKey }, { firstCell });
  const bytes = prefixBytes(readHeader(file, { compatibilityKey }), layers);
  const decoded = decodeLatent(
    file,
    { compatibilityKey },
    { layers, ...(kind === 'noise' && { noiseSeed }) },
  );
  return { bytes, parts: donorParts([{ donor, latent: decoded }]) };
}

function compare(stored: Stored, startTime: number, made: Resumed, plain: Resumed): RatePoint {
  const groups = targets.map((_, index) => index % prompts.length);
  const estimate = (values: number[]): Estimate => bootstrapEstimate(values, { groups, seed });
  const bytes = mean(made.bytes);
  return {
    stored,
    startTime,
    bytes,
    bitsPerValue: (8 * bytes) / elementCount(shape),
    adherence: estimate(made.adherence),
    adherenceLoss: estimate(plain.adherence.map((value, i) => value - made.adherence[i]!)),
    latentDistance: estimate(made.latents.map((latent, i) => distance(latent, plain.latents[i]!))),
    vectorDistance: estimate(
      made.vectors.map((vector, i) => 1 - product(vector, plain.vectors[i]!)),
    ),
    frechet: reference.distanceTo(made.vectors).distance,
  };
}

function plan(startTime: number, steps: number, ofSeed: number) {
  return { startTime, steps, seed: ofSeed, solver, anchor: 'none' } as const;
}

function makeAll(samples: Iterable<BatchSample>): Promise<Tensor[]> {
  return sampleBatch(model, samples, { guidance, batch });
}

async function inBatches<Value>(
  latents: readonly Tensor[],
  work: (some: readonly Tensor[]) => Promise<Value[]>,
): Promise<Value[]> {
  const values: Value[] = [];
  for (let start = 0; start < latents.length; start += batch) {
    values.push(...(await work(latents.slice(start, start + batch))));
  }
  return values;
}

function distance(one: Tensor, other: Tensor): number {
  let sum = 0;
  for (let index = 0; index < one.data.length; index++) {
    sum += (one.data[index]! - other.data[index]!) ** 2;
  }
  return Math.sqrt(sum / one.data.length);
}

function product(one: Float32Array, other: Float32Array): number {
  return one.reduce((sum, value, index) => sum + value * other[index]!, 0);
}

function nameOf(stored: Stored): string {
  if (stored.kind === 'unquantised' || stored.kind === 'another seed') return stored.kind;
  const { kind, firstCell, layers } = stored;
  return `${firstCell === FIRST_CELL ? `layers 1 to ${layers}` : `cells of ${firstCell}`}${kind === 'shown' ? ', not as noise' : ''}`;
}

function report(): void {
  const table = new Table({
    head: [
      't0',
      'donor stored as',
      'bytes',
      'bits a value',
      'adherence',
      'loss of adherence',
      'latent RMS',
      'vector distance',
      'FD',
    ],
    style: { head: [], border: [] },
  });
  const range = ({ mean: middle, low, high }: Estimate, digits: number): string =>
    `${middle.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
  for (const point of points) {
    const { stored, startTime } = point;
    const isProduct =
      stored.kind === 'noise' &&
      stored.firstCell === FIRST_CELL &&
      stored.layers === layersFor(startTime);
    table.push([
      startTime,
      `${nameOf(stored)}${isProduct ? ' *' : ''}`,
      point.bytes.toFixed(0),
      point.bitsPerValue.toFixed(3),
      point.adherence.mean.toFixed(4),
      range(point.adherenceLoss, 4),
      point.latentDistance.mean.toFixed(4),
      point.vectorDistance.mean.toFixed(5),
      point.frechet.toFixed(4),
    ]);
  }
  console.log(table.toString());
  console.log(
    `${count} prompts resumed in ${flags.steps} steps of ${solver} on ${flags.provider}; * as the product reads it of ${LAYERS} layers`,
  );
}

await write(
  flags.out,
  `${JSON.stringify({ conditions: { ...flags, date: new Date().toISOString().slice(0, 10) }, points }, null, 1)}\n`,
);
await write(flags.figure, rateDistortionCurve(points));

async function write(path: string | undefined, text: string): Promise<void> {
  if (path === undefined) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
