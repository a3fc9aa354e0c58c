import {
  DefaultCalibration,
  type Calibration,
  type SimilarityThresholds,
} from '#core/planning/calibration.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { LadderCalibration, type Rung } from '#simulation/calibrations.ts';
import type { Shown } from '#simulation/types.ts';
import type { TraceVectors } from '#simulation/traces/trace-request.ts';
import { FlexCacheError } from '#core/errors.ts';
import { openEmbedderFolder } from '#models/embedder-folder.ts';
import { lookupTraits } from '#models/lookup-traits.ts';
import { EMBEDDER_FILES, loadManifest } from '#models/manifest.ts';
import { loadCalibration } from '#models/package-calibration.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import { shownBy } from './prompt-adherence.ts';

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

/**
 * What a deployment of a model package looks up by.
 *
 * @throws FlexCacheError `model_missing` when the package has no network that embeds prompts: hashed words tell no
 * prompts that mean the same, which a simulation takes its vectors for.
 */
export async function openPackageVectors(
  directory: string,
  thresholdsOf: (given: SimilarityThresholds) => SimilarityThresholds = (given) => given,
): Promise<PromptVectors> {
  const modelPackage = await loadManifest(directory, { files: EMBEDDER_FILES });
  const { manifest, revision } = modelPackage;
  const { dimensions, knowsMeaning, separatesParts } = lookupTraits(manifest);
  if (!knowsMeaning) {
    throw new FlexCacheError(
      'model_missing',
      `the model package in ${directory} has no network that embeds prompts`,
      {
        field: 'files.textTower',
        fix: 'name a folder of a sentence encoder with --embedder, or a package that has files.textTower or files.embedder',
      },
    );
  }
  const { file, thresholds: given } = await loadCalibration(modelPackage);
  const thresholds = thresholdsOf(given);
  const shown = shownBy(manifest);
  const { embedder, splitter } = await openPromptModels(modelPackage);
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
    dimensions,
    knowsParts: separatesParts,
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
      if (!separatesParts) return embeddings.map(({ vector }) => wholeAlone(vector));
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
  const { manifest, revision, embedder } = await openEmbedderFolder(directory);
  const { name, dimensions, ladder } = manifest;
  return {
    name,
    revision,
    dimensions,
    knowsParts: false,
    steps: null,
    calibration: new LadderCalibration(ladder),
    rules: describeLadder(ladder),
    shownBy: null,
    shows: 'Donors are found by their prompts, as the ladder was measured.',
    embed: async (prompts) =>
      (await embedder.embedTexts(prompts)).map(({ vector }) => wholeAlone(vector)),
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

function wholeAlone(whole: Float32Array): TraceVectors {
  return { whole, object: null, background: null };
}
