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

/** What the Dockerfile copies, but for the model package. */
const CONTEXT = ['package.json', 'package-lock.json', 'layers', 'containers/denoiser'];

/** Where the model package is in the context, wherever it is here. */
const MODEL = 'model';

/**
 * The workers' image. Synthesis copies what it is built from and needs no Docker; `cdk deploy` builds
 * it. Without code the Dockerfile alone is copied.
 */
export function workerImage(scope: Construct): assets.DockerImageAsset {
  const isModelBaked = settingsOf(scope).modelSource === null;
  const context = mkdtempSync(join(tmpdir(), 'flexcache-image-'));
  const copy = (from: string, to: string): void =>
    cpSync(from, join(context, to), {
      recursive: true,
      // It is about the repository as a context; this one has nothing to leave out.
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
  // The asset was copied when it was made.
  rmSync(context, { recursive: true });
  return image;
}
