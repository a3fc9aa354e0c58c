import { logitCount } from '#core/planning/shown-attributes.ts';
import type { ModelManifest, NetworkName } from './manifest.ts';
import { objectMaskOf } from './object-mask.ts';

/** An input or output of a network. */
export interface TensorSignature {
  name: string;
  /** As onnxruntime calls it: `float32`, `int64`. */
  type: string;
  /** Extents: a number, or a name for one that differs from run to run. */
  shape: readonly (number | string)[];
}

/** What a network takes and gives. */
export interface NetworkSignature {
  inputs: readonly TensorSignature[];
  outputs: readonly TensorSignature[];
}

/** The extent of the batch, first of every input and output. */
export const BATCH = 'B';

/** The extents of what a denoiser with regions reads and gives for some of its tokens. */
const LIVE = 'live';
const CONTEXT = 'context';
const KEPT = 'kept';

/** The tokens of the longest text of a batch. */
const SENTENCE = 'tokens';

/** Whether an input or output of a denoiser is there for regions alone. */
export function isRegional({ shape }: TensorSignature): boolean {
  return [LIVE, CONTEXT, KEPT].some((extent) => shape.includes(extent));
}

/** What a network of a package has to take and to give; docs/architecture.md says what it means. */
export function expectedSignature(network: NetworkName, manifest: ModelManifest): NetworkSignature {
  const { text, latent: extents, video: pixels } = manifest;
  const grid = [extents.frames, extents.height, extents.width];
  const latent = float32('latent', extents.channels, ...grid);
  const video = float32('video', pixels.frames, 3, pixels.height, pixels.width);
  const tokens = [int64('input_ids', text.maxTokens), int64('attention_mask', text.maxTokens)];
  const embedding = float32('embedding', manifest.embedding.dimensions);
  switch (network) {
    case 'textEncoder':
      return { inputs: tokens, outputs: [float32('states', text.maxTokens, text.hidden)] };
    case 'denoiser':
      return denoiserSignature(manifest, latent);
    case 'vaeDecoder':
      return { inputs: [latent], outputs: [video] };
    case 'vaeEncoder':
      return { inputs: [video], outputs: [latent] };
    case 'imageEncoder': {
      const frame = float32('latent', extents.channels, 1, extents.height, extents.width);
      return { inputs: [float32('image', 3, pixels.height, pixels.width)], outputs: [frame] };
    }
    case 'segmenter':
      return { inputs: [latent], outputs: [float32('mask_logits', ...grid)] };
    case 'frameSegmenter': {
      const atLatent = manifest.objectMask?.extents === 'latent';
      const size = atLatent ? grid : [pixels.frames, pixels.height, pixels.width];
      return { inputs: [video], outputs: [float32('mask', ...size)] };
    }
    case 'textTower': {
      const labels = manifest.splitter?.labels.length;
      if (labels === undefined) return { inputs: tokens, outputs: [embedding] };
      const logits = float32('part_logits', text.maxTokens, labels);
      return { inputs: tokens, outputs: [embedding, logits] };
    }
    case 'embedder': {
      const { maxTokens, fixedLength } = manifest.embedding;
      const length = fixedLength === true ? maxTokens! : SENTENCE;
      const sentence = [int64('input_ids', length), int64('attention_mask', length)];
      return { inputs: sentence, outputs: [embedding] };
    }
    case 'videoTower':
      return { inputs: [latent], outputs: [embedding] };
    case 'imageTower': {
      const { videoVectors } = manifest;
      const size =
        videoVectors?.source === 'frames'
          ? [videoVectors.height, videoVectors.width]
          : ['height', 'width'];
      return {
        inputs: [float32('image', 3, ...size)],
        outputs: [float32('vector', manifest.embedding.dimensions)],
      };
    }
    case 'judge': {
      const logits = float32('logits', logitCount(manifest.judge?.attributes ?? []));
      return { inputs: [latent], outputs: [logits, float32('features', 'features')] };
    }
  }
}

function denoiserSignature(manifest: ModelManifest, latent: TensorSignature): NetworkSignature {
  const { text, regions, files } = manifest;
  const inputs = [
    latent,
    files.imageEncoder === undefined ? float32('time') : float32('time', manifest.latent.frames),
    float32('text_states', text.maxTokens, text.hidden),
    int64('text_mask', text.maxTokens),
  ];
  const outputs = [{ ...latent, name: 'velocity' }];
  if (objectMaskOf(manifest)?.source === 'attention') {
    inputs.push(float32('object_tokens', text.maxTokens));
    const [batch, , ...grid] = latent.shape;
    outputs.push({ ...latent, name: 'object_map', shape: [batch!, ...grid] });
  }
  if (regions === undefined) return { inputs, outputs };
  const { blocks, heads, headWidth, contextType: type = 'float32', readsKept } = regions;
  inputs.push(int64('live', LIVE));
  if (readsKept) inputs.push(int64('kept', KEPT));
  const given = readsKept ? KEPT : LIVE;
  for (let block = 0; block < blocks; block++) {
    for (const name of [`keys_${block}`, `values_${block}`]) {
      inputs.push({ name: `context_${name}`, type, shape: [BATCH, heads, CONTEXT, headWidth] });
      outputs.push({ name, type, shape: [BATCH, heads, given, headWidth] });
    }
  }
  return { inputs, outputs };
}

function float32(name: string, ...extents: (number | string)[]): TensorSignature {
  return { name, type: 'float32', shape: [BATCH, ...extents] };
}

function int64(name: string, ...extents: (number | string)[]): TensorSignature {
  return { name, type: 'int64', shape: [BATCH, ...extents] };
}
