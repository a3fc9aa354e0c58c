import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import type { WrittenManifest } from '#models/manifest-schema.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { onnxFile, type OnnxGraph, type OnnxNode } from './onnx-writer.ts';

/** Extents of the latents of tiny packages. */
export const TINY_LATENT = [4, 4, 8, 8] as const;
const [CHANNELS, FRAMES, HEIGHT, WIDTH] = TINY_LATENT;
const GRID = [FRAMES, HEIGHT, WIDTH];
const POSITIONS = elementCount(GRID);

/** A latent frame is this many frames, a position this many rows and columns of pixels. */
const PIXELS = { frames: 2, rows: 4, columns: 4 };
const VIDEO = [PIXELS.frames * FRAMES, 3, PIXELS.rows * HEIGHT, PIXELS.columns * WIDTH];

const TOKENS = 16;

/**
 * Words that the model knows: their states, of an object, of a background, a colour of either; and their place in the
 * space of sentences and images.
 */
const WORDS: Readonly<Record<string, { state: readonly number[]; meaning: readonly number[] }>> = {
  ...Object.fromEntries(
    ['[PAD]', '[UNK]', 'a', 'the', 'in', 'over'].map((word) => [
      word,
      { state: [0, 0, 0, 0], meaning: [0, 0, 0] },
    ]),
  ),
  red: { state: [3, 0, 4, 0], meaning: [1, 0, 2] },
  blue: { state: [3, 0, -4, 0], meaning: [1, 0, -2] },
  ball: { state: [3, 0, 0, 1], meaning: [1, 0, 0] },
  star: { state: [3, 0, 0, -1], meaning: [1, 0, 0] },
  meadow: { state: [0, 3, 0.3, 1], meaning: [0, 1, 0.8] },
  desert: { state: [0, 3, -0.3, -1], meaning: [0, 1, -0.8] },
};

/** `[T, H, W]`, 1 where the model shows objects: a square that moves from left to right. */
export const TINY_PLACE: Tensor = {
  data: Float32Array.from({ length: POSITIONS }, (_, position) => {
    const [x, y] = [position % WIDTH, Math.floor(position / WIDTH) % HEIGHT];
    const frame = Math.floor(position / (WIDTH * HEIGHT));
    return x > frame && x <= frame + 3 && y > 1 && y <= 4 ? 1 : 0;
  }),
  shape: GRID,
};

/** Queries of the positions: those of the object's place ask for the words of objects, all others for those of backgrounds. */
const QUERIES: Tensor = {
  data: Float32Array.from({ length: POSITIONS * CHANNELS }, (_, index) => {
    const isInside = TINY_PLACE.data[Math.floor(index / CHANNELS)] === 1;
    return index % CHANNELS === (isInside ? 0 : 1) ? 1 : 0;
  }),
  shape: [POSITIONS, CHANNELS],
};

const TEXT_ENCODER: OnnxGraph = {
  inputs: [
    { name: 'input_ids', type: 'int64', shape: ['B', TOKENS] },
    { name: 'attention_mask', type: 'int64', shape: ['B', TOKENS] },
  ],
  outputs: [{ name: 'states', shape: ['B', TOKENS, CHANNELS] }],
  weights: {
    table: {
      data: Float32Array.from(Object.values(WORDS).flatMap(({ state }) => state)),
      shape: [Object.keys(WORDS).length, CHANNELS],
    },
  },
  nodes: [{ operator: 'Gather', inputs: ['table', 'input_ids'], outputs: ['states'] }],
};

function node(
  operator: string,
  inputs: string,
  output: string,
  attributes: NonNullable<OnnxNode['attributes']> = {},
): OnnxNode {
  return { operator, inputs: inputs.split(' '), outputs: [output], attributes };
}

/**
 * One layer of cross-attention, from the positions of the latent to the words of the prompt; what they attend to is the
 * clean latent. Its object map is the attention to the marked words.
 */
const DENOISER: OnnxGraph = {
  inputs: [
    { name: 'latent', shape: ['B', ...TINY_LATENT] },
    { name: 'time', shape: ['B'] },
    { name: 'text_states', shape: ['B', TOKENS, CHANNELS] },
    { name: 'text_mask', type: 'int64', shape: ['B', TOKENS] },
    { name: 'object_tokens', shape: ['B', TOKENS] },
  ],
  outputs: [
    { name: 'velocity', shape: ['B', ...TINY_LATENT] },
    { name: 'object_map', shape: ['B', ...GRID] },
  ],
  weights: {
    queries: QUERIES,
    one: { data: Float32Array.of(1), shape: [1] },
    little: { data: Float32Array.of(0.1), shape: [1] },
    never: { data: Float32Array.of(1e4), shape: [1] },
  },
  constants: {
    flat: [0, 0, POSITIONS],
    whole: [0, ...TINY_LATENT],
    grid: [0, ...GRID],
    rows: [1],
    last: [2],
    all: [1, 2, 3, 4],
    wide: [1, POSITIONS, 1],
  },
  nodes: [
    node('Reshape', 'latent flat', 'channels'),
    node('Transpose', 'channels', 'positions', { perm: [0, 2, 1] }),
    node('Mul', 'positions little', 'faint'),
    node('Add', 'faint queries', 'asking'),
    node('Transpose', 'text_states', 'keys', { perm: [0, 2, 1] }),
    node('MatMul', 'asking keys', 'scores'),
    node('Cast', 'text_mask', 'mask', { to: 1 }),
    node('Sub', 'mask one', 'absent'),
    node('Mul', 'absent never', 'bias'),
    node('Unsqueeze', 'bias rows', 'biases'),
    node('Add', 'scores biases', 'logits'),
    node('Softmax', 'logits', 'attention', { axis: 2 }),
    node('MatMul', 'attention text_states', 'attended'),
    node('Transpose', 'attended', 'values', { perm: [0, 2, 1] }),
    node('Reshape', 'values whole', 'clean'),
    node('Unsqueeze', 'time all', 'level'),
    node('Sub', 'latent clean', 'noise'),
    node('Div', 'noise level', 'velocity'),
    node('Unsqueeze', 'object_tokens last', 'marks'),
    node('MatMul', 'attention marks', 'marked'),
    node('Reshape', 'marked grid', 'object_map'),
  ],
};

/** Three channels as colours, each position a square of pixels. */
const VAE_DECODER: OnnxGraph = {
  inputs: [{ name: 'latent', shape: ['B', ...TINY_LATENT] }],
  outputs: [{ name: 'video', shape: ['B', ...VIDEO] }],
  constants: {
    from: [0],
    to: [3],
    axis: [1],
    apart: [0, FRAMES, 1, 3, HEIGHT, 1, WIDTH, 1],
    larger: [1, FRAMES, PIXELS.frames, 3, HEIGHT, PIXELS.rows, WIDTH, PIXELS.columns],
    whole: [0, ...VIDEO],
  },
  nodes: [
    node('Slice', 'latent from to axis', 'colours'),
    node('Sigmoid', 'colours', 'shades'),
    node('Transpose', 'shades', 'frames', { perm: [0, 2, 1, 3, 4] }),
    node('Reshape', 'frames apart', 'squares'),
    node('Expand', 'squares larger', 'pixels'),
    node('Reshape', 'pixels whole', 'video'),
  ],
};

/** Frames are redder where the object is. */
function frameSegmenter(extents: 'pixels' | 'latent'): OnnxGraph {
  const [frames, , height, width] = VIDEO as [number, number, number, number];
  const video = { name: 'video', shape: ['B', ...VIDEO] };
  const constants = {
    from: [0],
    to: [1],
    axis: [2],
    pixels: [0, frames, height, width],
    apart: [0, FRAMES, PIXELS.frames, HEIGHT, PIXELS.rows, WIDTH, PIXELS.columns],
    squares: [2, 4, 6],
  };
  const weights = {
    shade: { data: Float32Array.of(0.8), shape: [1] },
    steep: { data: Float32Array.of(40), shape: [1] },
  };
  const nodes = [
    node('Slice', 'video from to axis', 'red'),
    node('Sub', 'red shade', 'redder'),
    node('Mul', 'redder steep', 'logits'),
    node('Sigmoid', 'logits', 'likely'),
  ];
  if (extents === 'pixels') {
    nodes.push(node('Reshape', 'likely pixels', 'mask'));
    const outputs = [{ name: 'mask', shape: ['B', frames, height, width] }];
    return { inputs: [video], outputs, constants, weights, nodes };
  }
  nodes.push(
    node('Reshape', 'likely apart', 'cells'),
    node('ReduceMean', 'cells squares', 'mask', { keepdims: 0 }),
  );
  return {
    inputs: [video],
    outputs: [{ name: 'mask', shape: ['B', ...GRID] }],
    constants,
    weights,
    nodes,
  };
}

/** Makes a tiny package one that finds objects in decoded frames. */
export function findInFrames(extents: 'pixels' | 'latent', dilation = 0): TinyChange {
  return (manifest, networks) => {
    manifest.objectMask = { source: 'frames', extents, dilation };
    networks['frameSegmenter'] = frameSegmenter(extents);
    networks['denoiser'] = withoutMap(networks['denoiser']!);
  };
}

/** Vectors of images and of sentences: three colours, of which the latter are those that the words ask for. */
const COLOURS = 3;

const LITTLE: Tensor = { data: new Float32Array(COLOURS).fill(0.01), shape: [1, COLOURS] };

const IMAGE_TOWER: OnnxGraph = {
  inputs: [{ name: 'image', shape: ['B', COLOURS, 16, 16] }],
  outputs: [{ name: 'vector', shape: ['B', COLOURS] }],
  // What shows nothing has a vector, too.
  weights: { little: LITTLE },
  constants: { pixels: [2, 3] },
  nodes: [
    node('ReduceMean', 'image pixels', 'colour', { keepdims: 0 }),
    node('Add', 'colour little', 'vector'),
  ],
};

const EMBEDDER: OnnxGraph = {
  inputs: [
    { name: 'input_ids', type: 'int64', shape: ['B', 'tokens'] },
    { name: 'attention_mask', type: 'int64', shape: ['B', 'tokens'] },
  ],
  outputs: [{ name: 'embedding', shape: ['B', COLOURS] }],
  weights: {
    table: {
      data: Float32Array.from(Object.values(WORDS).flatMap(({ meaning }) => meaning)),
      shape: [Object.keys(WORDS).length, COLOURS],
    },
    // What has no words at all has a vector, too.
    little: LITTLE,
  },
  constants: { last: [2], words: [1] },
  nodes: [
    node('Gather', 'table input_ids', 'states'),
    node('Cast', 'attention_mask', 'mask', { to: 1 }),
    node('Unsqueeze', 'mask last', 'there'),
    node('Mul', 'states there', 'heard'),
    node('ReduceSum', 'heard words', 'sum', { keepdims: 0 }),
    node('Add', 'sum little', 'asked'),
    node('LpNormalization', 'asked', 'embedding', { axis: 1, p: 2 }),
  ],
};

/** How the image encoder of tiny packages is shown frames. */
export const TINY_SAMPLING = {
  source: 'frames',
  frames: 4,
  height: 16,
  width: 16,
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
} as const;

/** Makes a tiny package one whose videos are looked at by an image encoder, beside its text encoder. */
export const lookAtFrames: TinyChange = (manifest, networks) => {
  manifest.videoVectors = { ...TINY_SAMPLING, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
  manifest.embedding = { dimensions: COLOURS, maxTokens: 16 };
  manifest.lookup = { thresholds: { whole: 0.9, object: 0.45, background: 0.8 } };
  Object.assign(networks, { imageTower: IMAGE_TOWER, embedder: EMBEDDER });
};

/** A denoiser that tells nothing of the object. */
function withoutMap(graph: OnnxGraph): OnnxGraph {
  return {
    ...graph,
    inputs: graph.inputs.filter(({ name }) => name !== 'object_tokens'),
    outputs: graph.outputs.filter(({ name }) => name !== 'object_map'),
    nodes: graph.nodes.filter(({ outputs }) => !OF_MAP.has(outputs[0]!)),
  };
}

const OF_MAP: ReadonlySet<string> = new Set(['marks', 'marked', 'object_map']);

const TOKENIZER = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: null,
  decoder: null,
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(Object.keys(WORDS).map((word, id) => [word, id])),
  },
};

type Manifest = Omit<WrittenManifest, 'files'> & { files: Record<string, object[]> };

/** Changes the manifest and the networks of a tiny package before it is written. */
export type TinyChange = (manifest: Manifest, networks: Record<string, OnnxGraph>) => void;

/** Colours of an image, in squares of the positions; the fourth channel has the first colour again. */
const IMAGE_ENCODER: OnnxGraph = {
  inputs: [{ name: 'image', shape: ['B', 3, PIXELS.rows * HEIGHT, PIXELS.columns * WIDTH] }],
  outputs: [{ name: 'latent', shape: ['B', CHANNELS, 1, HEIGHT, WIDTH] }],
  constants: { from: [0], to: [1], axis: [1], frame: [2] },
  nodes: [
    node('AveragePool', 'image', 'colours', {
      kernel_shape: [PIXELS.rows, PIXELS.columns],
      strides: [PIXELS.rows, PIXELS.columns],
    }),
    node('Slice', 'colours from to axis', 'fourth'),
    node('Concat', 'colours fourth', 'channels', { axis: 1 }),
    node('Unsqueeze', 'channels frame', 'latent'),
  ],
};

/** Makes of a tiny package one that takes first images: its denoiser reads the time of each latent frame. */
export function takeFirstImages(_: Manifest, networks: Record<string, OnnxGraph>): void {
  networks['imageEncoder'] = { ...IMAGE_ENCODER };
  networks['denoiser'] = {
    ...DENOISER,
    inputs: DENOISER.inputs.map((input) =>
      input.name === 'time' ? { name: 'time', shape: ['B', FRAMES] } : input,
    ),
    constants: { ...DENOISER.constants, all: [1, 3, 4] },
    weights: { ...DENOISER.weights, least: { data: Float32Array.of(1e-3), shape: [1] } },
    nodes: DENOISER.nodes.flatMap((each) =>
      each.outputs[0] === 'level'
        ? [node('Unsqueeze', 'time all', 'times'), node('Max', 'times least', 'level')]
        : [each],
    ),
  };
}

/**
 * A package of a model of a few hundred weights, which nobody trained: its objects are where `TINY_PLACE` is, its
 * colours follow the prompt. It finds objects by the attention of its denoiser.
 *
 * @returns its folder, which goes away with the test
 */
export async function writeTinyPackage(change: TinyChange = () => {}): Promise<string> {
  const directory = await temporaryFolder();
  const networks: Record<string, OnnxGraph> = {
    textEncoder: { ...TEXT_ENCODER },
    denoiser: { ...DENOISER },
    vaeDecoder: { ...VAE_DECODER },
  };
  const [frames, , height, width] = VIDEO as [number, number, number, number];
  const manifest: Manifest = {
    format: 'flexcache-model/2',
    name: 'tiny-world',
    version: '1.0.0',
    license: 'MIT',
    video: { frames, height, width, framesPerSecond: 8 },
    latent: { channels: CHANNELS, frames: FRAMES, height: HEIGHT, width: WIDTH },
    text: { maxTokens: TOKENS, hidden: CHANNELS, addsSpecialTokens: false, negativePrompt: '' },
    scheduler: { type: 'rectified-flow', solver: 'euler', steps: 20, guidance: 1.5 },
    objectMask: { source: 'attention', dilation: 0 },
    files: {},
  };
  change(manifest, networks);
  const contents: (readonly [name: string, path: string, content: Buffer])[] = [
    ['tokenizer', 'tokenizer.json', Buffer.from(JSON.stringify(TOKENIZER))],
    ...('embedder' in networks
      ? [['embedderTokenizer', 'words.json', Buffer.from(JSON.stringify(TOKENIZER))] as const]
      : []),
    ...Object.entries(networks).map(([name, graph]): [string, string, Buffer] => [
      name,
      `${name}.onnx`,
      onnxFile(graph),
    ]),
  ];
  for (const [name, path, content] of contents) {
    await writeFile(join(directory, path), content);
    const sha256 = createHash('sha256').update(content).digest('hex');
    manifest.files[name] = [{ path, sha256, bytes: content.length }];
  }
  await writeFile(join(directory, 'model.json'), JSON.stringify(manifest));
  return directory;
}
