import type { z } from 'zod';
import type { WrittenManifest } from './manifest-schema.ts';

/** What fields ask of each other: the message names what is expected. */
const COMBINATIONS: readonly {
  path: [string, string];
  isRight: (manifest: WrittenManifest) => boolean;
  message: string;
}[] = [
  {
    path: ['files', 'videoTower'],
    isRight: ({ files }) => files.videoTower === undefined || files.textTower !== undefined,
    message: 'expected textTower beside it: its vectors are compared with those of prompts',
  },
  {
    path: ['videoVectors', 'source'],
    isRight: ({ files, videoVectors }) =>
      videoVectors?.source !== 'latent' || files.videoTower !== undefined,
    message: 'expected files.videoTower beside "latent"',
  },
  {
    path: ['files', 'imageTower'],
    isRight: ({ files, videoVectors }) =>
      (videoVectors?.source === 'frames') === (files.imageTower !== undefined),
    message: 'expected videoVectors.source "frames" and imageTower, or neither',
  },
  {
    path: ['files', 'imageTower'],
    isRight: ({ files }) =>
      files.imageTower === undefined ||
      files.textTower !== undefined ||
      files.embedder !== undefined,
    message:
      'expected textTower or embedder beside it, the text encoder of its own space: its vectors are compared with those of prompts',
  },
  {
    path: ['files', 'embedder'],
    isRight: ({ files }) => files.embedder === undefined || files.textTower === undefined,
    message: 'expected textTower or embedder, not both',
  },
  {
    path: ['files', 'embedderTokenizer'],
    isRight: ({ files }) =>
      (files.embedder === undefined) === (files.embedderTokenizer === undefined),
    message: 'expected embedder and embedderTokenizer, or neither',
  },
  {
    path: ['objectMask', 'source'],
    isRight: ({ files, objectMask }) =>
      objectMask?.source !== 'segmenter' || files.segmenter !== undefined,
    message: 'expected files.segmenter beside "segmenter"',
  },
  {
    path: ['files', 'frameSegmenter'],
    isRight: ({ files, objectMask }) =>
      (objectMask?.source === 'frames') === (files.frameSegmenter !== undefined),
    message: 'expected objectMask.source "frames" and frameSegmenter, or neither',
  },
  {
    path: ['objectMask', 'extents'],
    isRight: ({ objectMask }) =>
      objectMask?.extents === undefined || objectMask.source === 'frames',
    message: 'expected none without "frames"',
  },
  {
    path: ['objectMask', 'threshold'],
    isRight: ({ objectMask }) =>
      objectMask?.threshold === undefined || objectMask.source !== 'segmenter',
    message: 'expected none with "segmenter": its object is where the logits are above 0',
  },
  {
    path: ['files', 'imageEncoder'],
    isRight: ({ files, regions }) => files.imageEncoder === undefined || regions === undefined,
    message: 'expected imageEncoder or regions, not both: tokens of a region have one time',
  },
  {
    path: ['embedding', 'dimensions'],
    isRight: ({ files, embedding }) =>
      (embedding !== undefined) === (files.textTower !== undefined || files.embedder !== undefined),
    message: 'expected those of textTower or embedder, and none without either',
  },
  {
    path: ['embedding', 'maxTokens'],
    isRight: ({ files, embedding }) =>
      (embedding?.maxTokens !== undefined) === (files.embedder !== undefined),
    message: 'expected the most tokens that embedder takes, and none without embedder',
  },
  {
    path: ['embedding', 'fixedLength'],
    isRight: ({ files, embedding }) =>
      embedding?.fixedLength === undefined || files.embedder !== undefined,
    message: 'expected none without embedder',
  },
  {
    path: ['splitter', 'labels'],
    isRight: ({ files, splitter }) => splitter === undefined || files.textTower !== undefined,
    message: 'expected none without textTower, which gives each token its label',
  },
];

/** Adds an issue for each pair of fields that do not go together. */
export function checkCombinations(manifest: WrittenManifest, context: z.RefinementCtx): void {
  for (const { path, isRight, message } of COMBINATIONS) {
    if (!isRight(manifest)) context.addIssue({ code: 'custom', path, message });
  }
}
