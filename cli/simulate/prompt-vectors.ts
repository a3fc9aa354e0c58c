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

/** Turns prompts into lookup vectors. */
export interface PromptVectors {
  name: string;
  /** The same revision gives the same vectors. */
  revision: string;
  dimensions: number;
  /** False if it embeds only whole prompts: then no part of a video is ever reused. */
  knowsParts: boolean;
  /**
   * Network evaluations of the full generation that the calibration was tuned for; null without a
   * model.
   */
  steps: number | null;
  /** Start points by similarity. */
  calibration: Calibration;
  /** One-sentence description of the calibration. */
  rules: string;
  /** How well videos show their prompts; null if unknown or irrelevant. */
  shownBy: ((prompt: string) => Shown) | null;
  /** One-sentence description of `shownBy`. */
  shows: string;
  /** Embeds prompts; most efficient with a few dozen at once. */
  embed(prompts: readonly string[]): Promise<TraceVectors[]>;
  close(): Promise<void>;
}

/**
 * Opens the lookup vectors of a deployed model package.
 *
 * @throws FlexCacheError `model_missing` if the package has no network that embeds prompts: hashed
 * words do not capture meaning, which the simulation relies on
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
      `the model package in ${directory} has no network to embed prompts`,
      {
        field: 'files.textTower',
        fix: 'name the folder of a sentence encoder with --embedder, or a package with files.textTower or files.embedder',
      },
    );
  }
  const { file, thresholds: given } = await loadCalibration(modelPackage);
  const thresholds = thresholdsOf(given);
  const shown = shownBy(manifest);
  const { embedder, splitter } = await openPromptModels(modelPackage);
  const vectorOf = new Map<string, Float32Array>();

  /** Embeds new phrases; known phrases reuse their vector object. */
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
    rules: `${describeThresholds(thresholds)}; ${file === null ? 'uncalibrated start points' : `calibration ${file.digest}`}`,
    shownBy: shown,
    shows:
      shown === null
        ? 'Assumes without measurement that videos fully show their prompts: hits are overstated.'
        : 'How well videos show their prompts is drawn from 60 measured videos.',
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

/** Opens a general sentence encoder, which embeds only whole prompts. */
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
    shows: 'Donors are found by their prompts, as when the ladder was measured.',
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
