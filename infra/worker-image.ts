import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import * as assets from 'aws-cdk-lib/aws-ecr-assets';
import type { Construct } from 'constructs';
import { isBundled } from './app-function.ts';
import { modelDirectory } from './model-layers.ts';
import { REPOSITORY_ROOT } from './repository-root.ts';
import { settingsOf } from './settings.ts';

const DOCKERFILE = 'containers/denoiser/Dockerfile';

/** Build context of the Dockerfile, without the model package. */
const CONTEXT = ['package.json', 'package-lock.json', 'layers', 'containers/denoiser'];

/** Path of the model package in the context. */
const MODEL = 'model';

/**
 * Creates the worker image asset. Synthesis copies the build context without Docker; `cdk deploy` builds it.
 * If `bundle` is false, the context contains only the Dockerfile.
 */
export function workerImage(scope: Construct): assets.DockerImageAsset {
  const isModelBaked = settingsOf(scope).modelSource === null;
  const context = mkdtempSync(join(tmpdir(), 'flexcache-image-'));
  const copy = (from: string, to: string): void =>
    cpSync(from, join(context, to), {
      recursive: true,
      // The .dockerignore applies to the repository as a context.
      filter: (path) => !basename(path).endsWith('.dockerignore'),
    });
  const parts = isBundled(scope) ? CONTEXT : [DOCKERFILE];
  for (const part of parts) copy(resolve(REPOSITORY_ROOT, part), part);
  if (isModelBaked && isBundled(scope)) copy(modelDirectory(scope), MODEL);
  const image = new assets.DockerImageAsset(scope, 'WorkerImage', {
    assetName: 'flexcache-worker',
    directory: context,
    file: DOCKERFILE,
    platform: assets.Platform.LINUX_AMD64,
    buildArgs: isModelBaked ? { MODEL_FROM: 'image', MODEL } : { MODEL_FROM: 's3' },
  });
  // The CDK has copied the asset.
  rmSync(context, { recursive: true });
  return image;
}
