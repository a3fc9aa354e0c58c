import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createApp } from './create-app.ts';
import { REPOSITORY_ROOT } from './repository-root.ts';

/** The one thing about a model package that the infrastructure is built around. */
function embeddingDimensions(modelDirectory: string): number {
  const path = resolve(REPOSITORY_ROOT, modelDirectory, 'model.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as {
    embedding: { dimensions: number };
  };
  return manifest.embedding.dimensions;
}

const { context } = JSON.parse(readFileSync(resolve(REPOSITORY_ROOT, 'cdk.json'), 'utf8')) as {
  context: Record<string, unknown>;
};

const { app } = createApp({
  context,
  embeddingDimensions,
  ...(process.env['CDK_OUTDIR'] === undefined && { outputDirectory: 'cdk.out' }),
});
app.synth();
