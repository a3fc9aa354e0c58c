import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { BIT_DEPTHS, readHeader } from '#codec/header.ts';
import { zstd } from '#codec/zstd.ts';
import { syntheticLatent, type SyntheticLatent } from './synthetic-latents.ts';

const USAGE = `node bench/codec.ts LATENTS.f32 MASKS.f32 | --synthetic
  LATENTS.f32  raw little-endian float32 [n,16,8,16,16]
  MASKS.f32    raw little-endian float32 [n,8,16,16], object where > 0; or bytes of 0 and 1`;

const SHAPE = [16, 8, 16, 16] as const;
const LATENT_VALUES = 16 * 8 * 16 * 16;
const MASK_VALUES = 8 * 16 * 16;
const FLOAT32_BYTES = 4;
const COMPATIBILITY_KEY = 'bench';
const WARM_UP_RUNS = 20;
const SYNTHETIC_LATENTS = 24;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    synthetic: { type: 'boolean', default: false },
    noise: { type: 'string', default: '0.2' },
    limit: { type: 'string', default: '64' },
  },
});

const samples = flags.synthetic
  ? Array.from({ length: SYNTHETIC_LATENTS }, (_, seed) =>
      syntheticLatent(seed, Number(flags.noise)),
    )
  : readSamples(positionals, Number(flags.limit));
for (let run = 0; run < WARM_UP_RUNS; run++) {
  const sample = samples[run % samples.length]!;
  decode(encodeLatent({ ...sample, compatibilityKey: COMPATIBILITY_KEY }, { bits: 4 }));
}

const table = new Table({
  head: [
    'bits',
    'entropy',
    'bytes',
    'object',
    'background',
    'mask',
    'times smaller',
    'PSNR dB',
    'encode ms',
    'decode ms',
  ],
  style: { head: [], border: [] },
});
for (const entropy of ['range', 'zstd'] as const) {
  for (const bits of BIT_DEPTHS) {
    const rows = samples.map((sample) => measure(sample, bits, entropy));
    const mean = (pick: (row: (typeof rows)[number]) => number): number =>
      rows.reduce((sum, row) => sum + pick(row), 0) / rows.length;
    const bytes = mean((row) => row.bytes);
    table.push([
      bits,
      entropy,
      bytes.toFixed(0),
      mean((row) => row.object).toFixed(0),
      mean((row) => row.background).toFixed(0),
      mean((row) => row.mask).toFixed(0),
      ((LATENT_VALUES * FLOAT32_BYTES) / bytes).toFixed(1),
      mean((row) => row.psnr).toFixed(1),
      mean((row) => row.encodeMilliseconds).toFixed(1),
      mean((row) => row.decodeMilliseconds).toFixed(1),
    ]);
  }
}
console.log(`${samples.length} latents, ${zstd.name}; means; PSNR against the latent's range`);
console.log(table.toString());

function measure(
  sample: SyntheticLatent,
  bits: (typeof BIT_DEPTHS)[number],
  entropy: 'range' | 'zstd',
) {
  const started = performance.now();
  const file = encodeLatent({ ...sample, compatibilityKey: COMPATIBILITY_KEY }, { bits, entropy });
  const encoded = performance.now();
  const { whole } = decode(file);
  const decoded = performance.now();
  const { sections } = readHeader(file, { compatibilityKey: COMPATIBILITY_KEY });
  return {
    bytes: file.length,
    object: sections.object.bytes,
    background: sections.background.bytes,
    mask: sections.mask.bytes,
    psnr: psnr(sample.latent.data, whole.data),
    encodeMilliseconds: encoded - started,
    decodeMilliseconds: decoded - encoded,
  };
}

function decode(file: Uint8Array) {
  return decodeLatent(file, { compatibilityKey: COMPATIBILITY_KEY });
}

function psnr(original: Float32Array, decoded: Float32Array): number {
  let squares = 0;
  let lowest = Infinity;
  let highest = -Infinity;
  for (const [index, value] of original.entries()) {
    squares += (value - decoded[index]!) ** 2;
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  return 10 * Math.log10((highest - lowest) ** 2 / (squares / original.length));
}

function readSamples(paths: readonly string[], limit: number): SyntheticLatent[] {
  const [latentPath, maskPath] = paths;
  if (latentPath === undefined || maskPath === undefined) throw new Error(USAGE);
  const latents = readFloats(latentPath);
  const count = Math.min(limit, latents.length / LATENT_VALUES);
  const masks = readMasks(maskPath, latents.length / LATENT_VALUES);
  return Array.from({ length: count }, (_, index) => ({
    latent: {
      data: latents.slice(index * LATENT_VALUES, (index + 1) * LATENT_VALUES),
      shape: SHAPE,
    },
    mask: {
      data: masks.slice(index * MASK_VALUES, (index + 1) * MASK_VALUES),
      shape: SHAPE.slice(1),
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
  return bytes.length === count * MASK_VALUES ? Float32Array.from(bytes) : readFloats(path);
}
