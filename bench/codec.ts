import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { prefixBytes, readHeader } from '#codec/header.ts';
import { LAYERS } from '#codec/layers.ts';
import { elementCount } from '#core/latents/tensor.ts';
import {
  DEMO_SHAPE,
  syntheticLatent,
  type LatentShape,
  type SyntheticLatent,
} from './synthetic-latents.ts';

const USAGE = `node bench/codec.ts LATENTS.f32 MASKS.f32 | --synthetic [--shape 16x21x60x104]
  LATENTS.f32  raw little-endian float32 [n,16,8,16,16]
  MASKS.f32    raw little-endian float32 [n,8,16,16], object where > 0; or bytes of 0 and 1`;

const FLOAT32_BYTES = 4;
/** What NIRVANA stores of a video: five states of 16-bit floats. */
const FIVE_STATES_BYTES = 5 * 2;
const KEY = { compatibilityKey: 'bench' };
const WARM_UP_RUNS = 20;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    synthetic: { type: 'boolean', default: false },
    shape: { type: 'string', default: DEMO_SHAPE.join('x') },
    noise: { type: 'string', default: '0.2' },
    limit: { type: 'string', default: '64' },
  },
});

const shape = flags.shape.split('x').map(Number) as unknown as LatentShape;
const values = elementCount(shape);
const maskValues = values / shape[0];
const limit = Number(flags.limit);
const samples = flags.synthetic
  ? Array.from({ length: limit }, (_, seed) => syntheticLatent(seed, Number(flags.noise), shape))
  : readSamples(positionals);
const warmUps = Math.ceil((WARM_UP_RUNS * elementCount(DEMO_SHAPE)) / values);
for (let run = 0; run < warmUps; run++) {
  decodeLatent(encodeLatent({ ...samples[run % samples.length]!, ...KEY }), KEY);
}

const rows = samples.map(measure);
const table = new Table({
  head: [
    'layers',
    'bytes',
    'most',
    'bits a value',
    '1/float32',
    '1/five fp16 states',
    'RMS error, shown',
    'as noise',
    'decode, processor ms',
  ],
  style: { head: [], border: [] },
});
for (let layers = 1; layers <= LAYERS; layers++) {
  const of = (pick: (row: Layer) => number): number[] =>
    rows.map((row) => pick(row.layers[layers - 1]!));
  const bytes = mean(of((layer) => layer.bytes));
  table.push([
    layers,
    bytes.toFixed(0),
    Math.max(...of((layer) => layer.bytes)),
    ((8 * bytes) / values).toFixed(3),
    ((values * FLOAT32_BYTES) / bytes).toFixed(1),
    ((values * FIVE_STATES_BYTES) / bytes).toFixed(0),
    Math.sqrt(mean(of((layer) => layer.shown))).toFixed(3),
    Math.sqrt(mean(of((layer) => layer.noise))).toFixed(3),
    median(of((layer) => layer.milliseconds)).toFixed(1),
  ]);
}
console.log(table.toString());
console.log(
  `${samples.length} latents [${shape.join(', ')}]; encode ${median(rows.map(({ milliseconds }) => milliseconds)).toFixed(1)} ms of a processor, ` +
    `medians of times, means of the rest; of the first layer the mask has ${mean(rows.map(({ mask }) => mask)).toFixed(0)} bytes`,
);

interface Layer {
  bytes: number;
  shown: number;
  noise: number;
  milliseconds: number;
}

function measure(sample: SyntheticLatent, seed: number) {
  const started = process.cpuUsage();
  const file = encodeLatent({ ...sample, ...KEY });
  const milliseconds = processorMilliseconds(started);
  const header = readHeader(file, KEY);
  const layers = Array.from({ length: LAYERS }, (_, index): Layer => {
    const bytes = prefixBytes(header, index + 1);
    const prefix = file.subarray(0, bytes);
    const shown = decodeLatent(prefix, KEY, { layers: index + 1 });
    const begun = process.cpuUsage();
    const noise = decodeLatent(prefix, KEY, { layers: index + 1, noiseSeed: seed });
    return {
      bytes,
      shown: meanSquare(sample.latent.data, shown.whole.data),
      noise: meanSquare(sample.latent.data, noise.whole.data),
      milliseconds: processorMilliseconds(begun),
    };
  });
  return { milliseconds, mask: header.maskBytes, layers };
}

/** All in one thread: on a free machine, so long it takes. Others on the machine do not count. */
function processorMilliseconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

function meanSquare(one: Float32Array, other: Float32Array): number {
  return one.reduce((sum, value, index) => sum + (value - other[index]!) ** 2, 0) / one.length;
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[numbers.length >> 1]!;
}

function readSamples(paths: readonly string[]): SyntheticLatent[] {
  const [latentPath, maskPath] = paths;
  if (latentPath === undefined || maskPath === undefined) throw new Error(USAGE);
  const latents = readFloats(latentPath);
  const count = Math.min(limit, latents.length / values);
  const masks = readMasks(maskPath, latents.length / values);
  return Array.from({ length: count }, (_, index) => ({
    latent: { data: latents.slice(index * values, (index + 1) * values), shape },
    mask: {
      data: masks.slice(index * maskValues, (index + 1) * maskValues),
      shape: shape.slice(1),
    },
  }));
}

function readFloats(path: string): Float32Array {
  const bytes = readFileSync(path);
  return new Float32Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
  );
}

function readMasks(path: string, count: number): Float32Array {
  const bytes = readFileSync(path);
  return bytes.length === count * maskValues ? Float32Array.from(bytes) : readFloats(path);
}
