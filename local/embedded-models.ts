import { loadManifest, type ModelPackage } from '#models/manifest.ts';
import { verifyPackage } from '#models/verify-package.ts';
import type { TextEmbedder, VideoModel } from '#models/model.ts';
import { loadCalibration, type LoadedCalibration } from '#models/package-calibration.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import type { ExecutionProvider } from '#models/execution-provider.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import type { PromptSplitter } from '#models/prompt-splitter.ts';
import type { PromptReader } from '#models/tokenizer.ts';

/** A model package at work. */
export interface EmbeddedModels {
  modelPackage: ModelPackage;
  calibration: LoadedCalibration;
  embedder: TextEmbedder;
  splitter: PromptSplitter;
  reader: PromptReader;
  video: VideoModel;
  /** Videos that are made at once; 1 unless said. */
  batch?: number;
}

/**
 * Opens the package's networks, each in its own thread; they are loaded when they are first run.
 *
 * @throws FlexCacheError `model_missing` or `model_corrupt`, before anything is run.
 */
export async function openModels(
  directory: string,
  executionProvider: ExecutionProvider,
  batch?: number,
): Promise<EmbeddedModels> {
  const modelPackage = await loadManifest(directory);
  await verifyPackage(modelPackage);
  const calibration = await loadCalibration(modelPackage);
  const prompts = await openPromptModels(modelPackage);
  const video = await OnnxVideoModel.open(modelPackage, {
    executionProvider,
    ...(batch !== undefined && { batch }),
  });
  return { modelPackage, calibration, ...prompts, video, batch: video.batch };
}
