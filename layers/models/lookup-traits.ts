import type { SimilarityThresholds } from '#core/planning/calibration.ts';
import type { VectorTraits } from '#core/planning/verify-donor.ts';
import type { ModelManifest } from './manifest.ts';
import { objectMaskOf, type ObjectMaskSource } from './object-mask.ts';
import { videoVectorsOf, type VideoVectors } from './video-vectors.ts';

/** How requests of a package are looked up: what it brings, and what stands in for what it does not. */
export interface LookupTraits extends VectorTraits {
  /**
   * What turns prompts into vectors: a network whose space is that of the videos' vectors, a sentence encoder with a
   * tokenizer of its own, or hashed words.
   */
  embedder: 'textTower' | 'sentence' | 'lexical';
  dimensions: number;
  /** What finds the phrases of a prompt: the text tower's labels of each token, or a parser of English. */
  splitter: 'labels' | 'parser';
  /** What the vectors of entries are made of; null where the vectors of prompts stand in. */
  videoVectors: VideoVectors | null;
  /** What tells objects from backgrounds; null where nothing does. */
  objectMask: ObjectMaskSource | null;
  thresholds: SimilarityThresholds;
  /** Whether the manifest gives the thresholds. */
  hasThresholds: boolean;
}

/** What of a manifest decides how requests are looked up. */
export type LookupManifest = Pick<
  ModelManifest,
  'embedding' | 'splitter' | 'lookup' | 'objectMask' | 'videoVectors'
> & {
  files: Pick<ModelManifest['files'], 'segmenter' | 'textTower' | 'videoTower' | 'embedder'>;
};

/**
 * Thresholds where a manifest has none, by what is compared. They are meant to refuse too much: between prompts and
 * videos nobody knows the scale of a tower; of sentence encoders some give pairs that differ in one colour a cosine
 * above 0.95; hashed words are equal or not (`VectorTraits.knowsMeaning`), and 0.9 leaves room for small words.
 */
const DEFAULT_THRESHOLDS = { video: 0.9, network: 0.97, lexical: 0.9 } as const;

/** How requests of a package are looked up. */
export function lookupTraits(manifest: LookupManifest): LookupTraits {
  const { files, embedding, splitter, lookup } = manifest;
  const embedder =
    files.textTower !== undefined
      ? 'textTower'
      : files.embedder !== undefined
        ? 'sentence'
        : 'lexical';
  const objectMask = objectMaskOf(manifest)?.source ?? null;
  const separatesParts = objectMask !== null;
  const videoVectors = videoVectorsOf(manifest);
  const describesVideos = videoVectors !== null;
  const scale = describesVideos ? 'video' : embedder === 'lexical' ? 'lexical' : 'network';
  return {
    embedder,
    dimensions: embedding.dimensions,
    describe: !describesVideos ? 'prompt' : separatesParts ? 'parts' : 'video',
    knowsMeaning: embedder !== 'lexical',
    splitter: splitter === undefined ? 'parser' : 'labels',
    videoVectors,
    objectMask,
    separatesParts,
    thresholds: lookup?.thresholds ?? samePartThresholds(DEFAULT_THRESHOLDS[scale]),
    hasThresholds: lookup !== undefined,
  };
}

function samePartThresholds(cosine: number): SimilarityThresholds {
  return { whole: cosine, object: cosine, background: cosine };
}

const EMBEDDER_WORDS = {
  textTower: 'text tower',
  sentence: 'sentence encoder',
  lexical: 'hashed words of the prompt (the package has no network for it)',
} as const;

const DESCRIBED_WORDS = {
  parts: 'videos and their parts',
  video: 'whole videos',
  prompt: 'the prompts of videos: what they show is not verified (no videoTower, no videoVectors)',
} as const;

const MASK_WORDS = {
  segmenter: 'the segmenter on latents',
  attention: 'what the denoiser attends to at the words of the object (no segmenter is run)',
  frames: 'a segmenter of decoded frames',
} as const;

/** The same in words, for whoever runs the package: one line each. */
export function describeLookup(traits: LookupTraits): string[] {
  const { embedder, dimensions, describe, splitter, objectMask, hasThresholds } = traits;
  const { videoVectors } = traits;
  const { whole, object, background } = traits.thresholds;
  return [
    `prompts by ${EMBEDDER_WORDS[embedder]}, ${dimensions} dimensions; compared with ${DESCRIBED_WORDS[describe]}${describeVectors(videoVectors)}`,
    `phrases by ${splitter === 'labels' ? 'labels of the text tower' : 'a parser of English'}`,
    objectMask === null
      ? 'no object and no background is reused, whole videos alone (no segmenter, no objectMask)'
      : `objects and backgrounds are reused by themselves; told apart by ${MASK_WORDS[objectMask]}`,
    `thresholds ${whole} whole, ${object} object, ${background} background${hasThresholds ? '' : byDefault(videoVectors)}`,
  ];
}

function byDefault(videoVectors: VideoVectors | null): string {
  if (videoVectors?.source !== 'frames') return ', by default';
  return ', by default: more than most image encoders give a video that shows its prompt';
}

function describeVectors(videoVectors: VideoVectors | null): string {
  if (videoVectors === null) return '';
  if (videoVectors.source === 'latent') return ', by the tower on latents';
  return `, by an image encoder on ${videoVectors.frames} decoded frames`;
}
