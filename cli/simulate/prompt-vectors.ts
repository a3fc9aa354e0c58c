import {
  DefaultCalibration,
  type Calibration,
  type SimilarityThresholds,
} from '#core/calibration.ts';
import { PackageCalibration } from '#core/package-calibration.ts';
import { LadderCalibration, type Rung } from '#core/simulate/calibrations.ts';
import type { Shown } from '#core/simulate/types.ts';
import type { TraceVectors } from '#core/simulate/traces/trace-request.ts';
import { EMBEDDER_FILES, loadManifest } from '#models/manifest.ts';
import type { TextEmbedding } from '#models/model.ts';
import { loadCalibration } from '#models/package-calibration.ts';
import { OnnxTextEmbedder } from '#models/onnx-text-embedder.ts';
import { ModelPromptSplitter } from '#models/prompt-splitter.ts';
import { SentenceEmbedder } from '#models/sentence-embedder.ts';
import { shownBy } from './shown-by-videos.ts';

/** Turns prompts into the vectors that they are looked up by. */
export interface PromptVectors {
  name: string;
  /** The same revision gives the same vectors. */
  revision: string;
  dimensions: number;
  /** False when it knows whole prompts only: no part of a video is ever reused then. */
  knowsParts: boolean;
  /** Network evaluations of a full generation that its calibration was tuned for; null where it is of no model. */
  steps: number | null;
  /** How deep what is similar by its vectors may be reused. */
  calibration: Calibration;
  /** The calibration in a sentence. */
  rules: string;
  /** How well videos show their prompts; null when that is not known or does not matter. */
  shownBy: ((prompt: string) => Shown) | null;
  /** The same in a sentence. */
  shows: string;
  /** Best called with some dozen prompts at once. */
  embed(prompts: readonly string[]): Promise<TraceVectors[]>;
  close(): Promise<void>;
}

/** The text tower and the splitter of a model package: what a deployment of it looks up by. */
export async function openPackageVectors(
  directory: string,
  thresholdsOf: (given: SimilarityThresholds) => SimilarityThresholds = (given) => given,
): Promise<PromptVectors> {
  const modelPackage = await loadManifest(directory, { files: EMBEDDER_FILES });
  const { manifest, revision } = modelPackage;
  const { file, thresholds: given } = await loadCalibration(modelPackage);
  const thresholds = thresholdsOf(given);
  const shown = shownBy(manifest);
  const embedder = await OnnxTextEmbedder.open(modelPackage);
  const vectorOf = new Map<string, Float32Array>();

  /** Vectors of phrases that were met before are the same objects. */
  async function embedPhrases(phrases: readonly (string | null)[]): Promise<void> {
    const unknown = new Set(phrases.filter((phrase) => phrase !== null && !vectorOf.has(phrase)));
    if (unknown.size === 0) return;
    const texts = [...unknown] as string[];
    const embeddings = await embedder.embedTexts(texts);
    for (const [index, { vector }] of embeddings.entries()) vectorOf.set(texts[index]!, vector);
  }

  return {
    name: `${manifest.name} ${manifest.version}`,
    revision,
    dimensions: manifest.embedding.dimensions,
    knowsParts: true,
    steps: manifest.scheduler.steps,
    calibration:
      file === null
        ? new DefaultCalibration(thresholds, manifest.scheduler.solver)
        : new PackageCalibration({ ...file.content, thresholds }),
    rules: `${describeThresholds(thresholds)}; ${file === null ? 'start points of no calibration' : `calibration ${file.digest}`}`,
    shownBy: shown,
    shows:
      shown === null
        ? 'Videos are taken to show their prompts fully, which was not measured: hits are overstated.'
        : 'How well videos show their prompts is drawn from 60 that were measured.',
    embed: async (prompts) => {
      const embeddings = await embedder.embedTexts(prompts);
      const known = new Map(prompts.map((prompt, index) => [prompt, embeddings[index]!]));
      const splitter = new ModelPromptSplitter(
        { embedText: async (text): Promise<TextEmbedding> => known.get(text)!, close: noop },
        embedder.tokenizer,
        manifest.splitter.labels,
      );
      const parts = await Promise.all(prompts.map((prompt) => splitter.split(prompt)));
      await embedPhrases(parts.flatMap((part) => [part.objectPhrase, part.backgroundPhrase]));
      return parts.map(({ objectPhrase, backgroundPhrase }, index) => ({
        whole: embeddings[index]!.vector,
        object: objectPhrase === null ? null : vectorOf.get(objectPhrase)!,
        background: backgroundPhrase === null ? null : vectorOf.get(backgroundPhrase)!,
      }));
    },
    close: () => embedder.close(),
  };
}

/** A general sentence encoder: whole prompts only. */
export async function openSentenceVectors(directory: string): Promise<PromptVectors> {
  const embedder = await SentenceEmbedder.open(directory);
  const { name, dimensions, ladder } = embedder.manifest;
  return {
    name,
    revision: embedder.revision,
    dimensions,
    knowsParts: false,
    steps: null,
    calibration: new LadderCalibration(ladder),
    rules: describeLadder(ladder),
    shownBy: null,
    shows: 'Donors are found by their prompts, as the ladder was measured.',
    embed: async (prompts) =>
      (await embedder.embedTexts(prompts)).map((whole) => ({
        whole,
        object: null,
        background: null,
      })),
    close: () => embedder.close(),
  };
}

function describeThresholds({ whole, object, background }: SimilarityThresholds): string {
  return `donors from cosine ${whole} (whole), ${object} (object), ${background} (background)`;
}

function describeLadder(ladder: readonly Rung[]): string {
  const rungs = ladder.map(({ similarity, startTime }) => `from ${similarity} at ${startTime}`);
  return `donors by cosine and start time: ${rungs.join(', ')}`;
}

async function noop(): Promise<void> {}
