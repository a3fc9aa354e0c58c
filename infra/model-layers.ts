import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { ARCHITECTURE, RUNTIME } from './house-function.ts';
import { REPOSITORY_ROOT } from './repository-root.ts';

/** Where the model package is inside a function. */
export const MODEL_DIRECTORY = '/opt/model';

/** What of onnxruntime runs: the package as installed is larger than a function may be. */
const ONNX_RUNTIME_FILES = [
  'onnxruntime-node/package.json',
  'onnxruntime-node/dist',
  `onnxruntime-node/bin/napi-v6/linux/x64`,
  'onnxruntime-common/package.json',
  'onnxruntime-common/dist/cjs',
];

/** The model package as a layer. */
export function modelLayer(scope: Construct, modelDirectory: string): lambda.LayerVersion {
  return layerOf(scope, 'Model', 'The model package', (folder) => {
    cpSync(modelDirectory, join(folder, 'model'), { recursive: true });
  });
}

/** onnxruntime for the processor of our functions as a layer. */
export function onnxRuntimeLayer(scope: Construct): lambda.LayerVersion {
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
