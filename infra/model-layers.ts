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

/** Path of the model package in a function. */
export const MODEL_DIRECTORY = '/opt/model';

/** Name of the architecture in onnxruntime's folders. */
const PROCESSOR = ARCHITECTURE === lambda.Architecture.ARM_64 ? 'arm64' : 'x64';

/** Files of onnxruntime needed at runtime: the full package exceeds Lambda's size limit. */
const ONNX_RUNTIME_FILES = [
  'onnxruntime-node/package.json',
  'onnxruntime-node/dist',
  `onnxruntime-node/bin/napi-v6/linux/${PROCESSOR}`,
  'onnxruntime-common/package.json',
  'onnxruntime-common/dist/cjs',
];

/** Layers for functions with a model. Zstandard needs none: Node has it built in. */
export interface ModelLayers {
  /** The manifest, and the tokenizers, embedding networks and calibration of the package. */
  embedder: lambda.ILayerVersion[];
  onnxRuntime: lambda.ILayerVersion[];
}

/** Creates the layers of a stack; none if `bundle` is false. */
export function modelLayers(stack: Stack): ModelLayers {
  if (!isBundled(stack)) return { embedder: [], onnxRuntime: [] };
  return { embedder: [embedderLayer(stack)], onnxRuntime: [onnxRuntimeLayer(stack)] };
}

/** Returns the absolute path of the model package. */
export function modelDirectory(scope: Construct): string {
  return resolve(REPOSITORY_ROOT, settingsOf(scope).model);
}

/** Returns the model package of the deployment. */
export function deployedModel(scope: Construct): ModelPackage {
  const directory = modelDirectory(scope);
  const manifest = readModelManifest(scope);
  return { directory, manifest, revision: modelRevision(manifest) };
}

/** Returns the compatibility key of the deployed package's entries. */
export function deployedCompatibilityKey(scope: Construct): string {
  return compatibilityKey(compatibilityOf(deployedModel(scope)));
}

/** Reads the manifest. @throws InvalidInputError for the setting `model` if it cannot be read */
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
      'set it to the folder of a model package, relative to the repository',
    );
  }
  return parseManifest(directory, text);
}

function embedderLayer(scope: Construct): lambda.LayerVersion {
  return layerOf(scope, 'Embedder', 'Embedding files of the model package', (folder) =>
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
 * Returns the calibration file of the package, if any.
 *
 * @throws FlexCacheError at synthesis if the calibration is invalid.
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
