import { standardNormalNoise } from '#core/latents/noise.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest, NetworkName } from '../manifest.ts';
import type { TextCondition, Tokens } from '../model.ts';
import { pickOutput } from '../network-call.ts';
import { BATCH, type NetworkSignature, type TensorSignature } from '../network-signature.ts';
import type { NetworkInputs, NetworkRunner, NetworkTensor } from '../onnx-networks.ts';
import type { PromptTokenizer } from '../tokenizer.ts';
import { corruptNetwork } from './compare-signatures.ts';

/** What networks are run on: the rows of a batch take turns. Each has a prompt's and the negative prompt's. */
export interface Samples {
  tokens: readonly [Tokens, Tokens];
  conditions: readonly [TextCondition, TextCondition];
  /** `[F,3,H,W]` in 0..1 */
  video: Tensor;
}

const NOISE_SEED = 1;
const TIME = 0.5;
const RANGE_TOLERANCE = 0.01;
const LENGTH_TOLERANCE = 0.01;
const OVERFLOW =
  'export the network again; where its weights are float16, keep in float32 what overflows (norms, sums)';

/** Standard normal noise of a shape, another for each row. */
export function sampleNoise(shape: readonly number[], row: number): Tensor {
  return standardNormalNoise(shape, NOISE_SEED, `row ${row}`);
}

/** Samples of a package before any network of it was run; without a tokenizer its tokens are made up, too. */
export function madeUpSamples(
  { text, video }: ModelManifest,
  tokenizer: PromptTokenizer | null,
  prompt: string,
): Samples {
  const tokens = [prompt, text.negativePrompt].map(
    (words) => tokenizer?.encode(words) ?? firstTokenAlone(text.maxTokens),
  ) as [Tokens, Tokens];
  const conditions = tokens.map(({ mask }, row) => ({
    states: sampleNoise([text.maxTokens, text.hidden], row),
    mask,
  })) as [TextCondition, TextCondition];
  const shape = [video.frames, 3, video.height, video.width];
  return {
    tokens,
    conditions,
    video: { data: new Float32Array(elementCount(shape)).fill(0.5), shape },
  };
}

/** Marks of a prompt of which only the first token is known. */
export function firstTokenMarked(extents: readonly number[]): Float32Array {
  return new Float32Array(elementCount(extents)).fill(1, 0, 1);
}

function firstTokenAlone(maxTokens: number): Tokens {
  const mask = new BigInt64Array(maxTokens).fill(1n, 0, 1);
  return { ids: new BigInt64Array(maxTokens), mask, cut: 0 };
}

/** Inputs of a batch. Those that a region has are not among them. */
export function sampleInputs(
  inputs: readonly TensorSignature[],
  samples: Samples,
  batch: number,
): NetworkInputs {
  return Object.fromEntries(
    inputs.map(({ name, shape }) => {
      const extents = shape.filter((extent) => typeof extent === 'number');
      const rows = Array.from({ length: batch }, (_, row) =>
        sampleRow(name, extents, samples, row),
      );
      return [name, { data: stacked(rows), shape: [batch, ...extents] }];
    }),
  );
}

function sampleRow(
  input: string,
  extents: readonly number[],
  { tokens, conditions, video }: Samples,
  row: number,
): NetworkTensor['data'] {
  const { ids, mask } = tokens[row % tokens.length]!;
  const condition = conditions[row % conditions.length]!;
  switch (input) {
    case 'input_ids':
      return ids;
    case 'attention_mask':
      return mask;
    case 'text_mask':
      return condition.mask;
    case 'text_states':
      return condition.states.data;
    case 'object_tokens':
      return condition.objectTokens ?? firstTokenMarked(extents);
    case 'time':
      return new Float32Array(elementCount(extents)).fill(TIME);
    case 'video':
      return video.data;
    case 'image':
      return video.data.subarray(0, elementCount(extents));
    default:
      return sampleNoise(extents, row).data;
  }
}

function stacked(rows: readonly NetworkTensor['data'][]): NetworkTensor['data'] {
  const length = rows[0]!.length;
  const data =
    rows[0] instanceof BigInt64Array
      ? new BigInt64Array(rows.length * length)
      : new Float32Array(rows.length * length);
  for (const [row, values] of rows.entries()) data.set(values as never, row * length);
  return data;
}

/**
 * Runs a network once and checks what it gives: shapes, finite numbers, and what they stand for.
 *
 * @param outputs those that are asked for
 * @throws FlexCacheError `model_corrupt` naming the network and the output.
 */
export async function runOnce(
  networks: NetworkRunner,
  network: NetworkName,
  outputs: NetworkSignature['outputs'],
  inputs: NetworkInputs,
  batch: number,
): Promise<Map<string, Tensor>> {
  const names = outputs.map(({ name }) => name);
  const results = await networks.run(network, inputs, { outputs: names });
  const found = new Map<string, Tensor>();
  for (const { name, shape } of outputs) {
    const given = results[name]?.shape ?? [];
    const expected = shape.map((extent, axis) => {
      if (extent === BATCH) return batch;
      return typeof extent === 'number' ? extent : (given[axis] ?? 0);
    });
    const tensor = pickOutput(results, network, name, expected);
    requireSoundValues(network, name, tensor);
    found.set(name, tensor);
  }
  return found;
}

/** @throws FlexCacheError `model_corrupt` for numbers that are none, or not what the output stands for. */
export function requireSoundValues(network: NetworkName, output: string, tensor: Tensor): void {
  const { data, shape } = tensor;
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw corruptNetwork(
      network,
      `network ${network} gave ${data[bad]} in its output ${output}`,
      OVERFLOW,
    );
  }
  if (output === 'object_map') {
    const beyond = data.find((value) => value < 0 || value > 1 + RANGE_TOLERANCE);
    if (beyond === undefined) return;
    throw corruptNetwork(
      network,
      `network ${network} gave ${beyond} in its output object_map, expected 0 to 1`,
      'export the network again with the share of attention that the marked tokens get',
    );
  }
  if (output === 'video' || output === 'mask') {
    const beyond = data.find((value) => value < -RANGE_TOLERANCE || value > 1 + RANGE_TOLERANCE);
    if (beyond === undefined) return;
    throw corruptNetwork(
      network,
      `network ${network} gave ${beyond} in its output ${output}, expected 0 to 1`,
      'export the network again with its range brought to 0 to 1 and clamped',
    );
  }
  if (output !== 'embedding' && output !== 'vector') return;
  const dimensions = elementCount(shape.slice(1));
  for (let start = 0; start < data.length; start += dimensions) {
    const length = Math.hypot(...data.subarray(start, start + dimensions));
    if (output === 'vector' && length > 0) continue;
    if (Math.abs(length - 1) <= LENGTH_TOLERANCE) continue;
    throw corruptNetwork(
      network,
      `network ${network} gave a vector of length ${length}, expected ${output === 'vector' ? 'more than 0' : '1'}`,
      'export the network again with its vectors divided by their length',
    );
  }
}

/** Largest difference of two tensors, relative to the largest value of the first. */
export function relativeDifference(one: Float32Array, other: Float32Array): number {
  let worst = 0;
  let largest = 0;
  for (const [index, value] of one.entries()) {
    worst = Math.max(worst, Math.abs(value - other[index]!));
    largest = Math.max(largest, Math.abs(value));
  }
  return largest === 0 ? worst : worst / largest;
}
