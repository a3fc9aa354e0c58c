import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Stack } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { CALIBRATION_FILE } from '#core/planning/calibration-file.ts';
import { InvalidInputError } from '#core/errors.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import {
  compatibilityOf,
  declaredFiles,
  EMBEDDER_FILES,
  MANIFEST_FILE,
  modelRevision,
  parseManifest,
  type ModelManifest,
  type ModelPackage,
} from '#models/manifest.ts';
import { calibrationIn } from '#models/package-calibration.ts';
import { ARCHITECTURE, isBundled, RUNTIME } from './app-function.ts';
import { REPOSITORY_ROOT } from './repository-root.ts';
import { settingsOf } from './settings.ts';

/** Where the model package is inside a function. */
export const MODEL_DIRECTORY = '/opt/model';

/** As onnxruntime's folders call the processor of our functions. */
const PROCESSOR = ARCHITECTURE === lambda.Architecture.ARM_64 ? 'arm64' : 'x64';

/** What of onnxruntime runs: the package as installed is larger than a function may be. */
const ONNX_RUNTIME_FILES = [
  'onnxruntime-node/package.json',
  'onnxruntime-node/dist',
  `onnxruntime-node/bin/napi-v6/linux/${PROCESSOR}`,
  'onnxruntime-common/package.json',
  'onnxruntime-common/dist/cjs',
];

/** Layers that functions with a model need. Zstandard has none: Node's own reads the same frames. */
export interface ModelLayers {
  /** The manifest, and of the tokenizers, the networks that embed prompts and the calibration those that are there. */
  embedder: lambda.ILayerVersion[];
  onnxRuntime: lambda.ILayerVersion[];
}

/** The layers of this stack: none when the code is left out. */
export function modelLayers(stack: Stack): ModelLayers {
  if (!isBundled(stack)) return { embedder: [], onnxRuntime: [] };
  return { embedder: [embedderLayer(stack)], onnxRuntime: [onnxRuntimeLayer(stack)] };
}

/** Absolute path of the folder of the model package. */
export function modelDirectory(scope: Construct): string {
  return resolve(REPOSITORY_ROOT, settingsOf(scope).model);
}

/** The model package that everything is deployed with. */
export function deployedModel(scope: Construct): ModelPackage {
  const directory = modelDirectory(scope);
  const manifest = readModelManifest(scope);
  return { directory, manifest, revision: modelRevision(manifest) };
}

/** Under which the entries of this package are found. */
export function deployedCompatibilityKey(scope: Construct): string {
  return compatibilityKey(compatibilityOf(deployedModel(scope)));
}

/** @throws InvalidInputError naming the setting `model` when there is no package. */
export function readModelManifest(scope: Construct): ModelManifest {
  const directory = modelDirectory(scope);
  const path = join(directory, MANIFEST_FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new InvalidInputError(
      'model',
      `the setting model is ${settingsOf(scope).model}, but ${path} cannot be read: ${(error as Error).message}`,
      'give the folder of a model package, relative to the repository',
    );
  }
  return parseManifest(directory, text);
}

function embedderLayer(scope: Construct): lambda.LayerVersion {
  return layerOf(scope, 'Embedder', 'What of the model package embeds prompts', (folder) =>
    copyEmbedder(scope, join(folder, 'model')),
  );
}

function copyEmbedder(scope: Construct, to: string): void {
  const paths = declaredFiles(readModelManifest(scope), EMBEDDER_FILES).map(({ path }) => path);
  for (const path of [MANIFEST_FILE, ...calibrationFiles(scope), ...paths]) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    cpSync(join(modelDirectory(scope), path), join(to, path));
  }
}

/**
 * The calibration of the package as one file, or none.
 *
 * @throws FlexCacheError when the functions could not use it: before it is deployed.
 */
function calibrationFiles(scope: Construct): string[] {
  const { directory, ...modelPackage } = deployedModel(scope);
  const path = join(directory, CALIBRATION_FILE);
  if (!existsSync(path)) return [];
  calibrationIn(modelPackage, path, readFileSync(path, 'utf8'));
  return [CALIBRATION_FILE];
}

function onnxRuntimeLayer(scope: Construct): lambda.LayerVersion {
  return layerOf(scope, 'OnnxRuntime', 'onnxruntime-node, pruned', (folder) => {
    for (const file of ONNX_RUNTIME_FILES) {
      const to = join(folder, 'nodejs/node_modules', file);
      cpSync(resolve(REPOSITORY_ROOT, 'node_modules', file), to, { recursive: true });
    }
  });
}

function layerOf(
  scope: Construct,
  id: string,
  description: string,
  fill: (folder: string) => void,
): lambda.LayerVersion {
  const folder = mkdtempSync(join(tmpdir(), 'flexcache-layer-'));
  fill(folder);
  const layer = new lambda.LayerVersion(scope, id, {
    description,
    code: lambda.Code.fromAsset(folder),
    compatibleRuntimes: [RUNTIME],
    compatibleArchitectures: [ARCHITECTURE],
  });
  rmSync(folder, { recursive: true });
  return layer;
}
