import { resolve } from 'node:path';
import { App, Tags } from 'aws-cdk-lib';
import { REPOSITORY_ROOT } from './repository-root.ts';
import { StorageStack } from './storage-stack.ts';
import { WorkflowStack } from './workflow-stack.ts';

export interface CreateAppOptions {
  /** Defaults of `cdk.json`; what the CDK command line says comes before them. */
  context?: Record<string, unknown>;
  /** Elements of one vector of the model package in this folder. */
  embeddingDimensions: (modelDirectory: string) => number;
  outputDirectory?: string;
}

export interface FlexCacheApp {
  app: App;
  storage: StorageStack;
  workflow: WorkflowStack;
}

/** The whole of FlexCache on AWS. Context `bundle=false` leaves the functions' code out. */
export function createApp(options: CreateAppOptions): FlexCacheApp {
  const app = new App({
    ...(options.context && { context: options.context }),
    ...(options.outputDirectory !== undefined && { outdir: options.outputDirectory }),
  });
  const modelDirectory = String(app.node.tryGetContext('model') ?? 'containers/demo-model/package');
  const storage = new StorageStack(app, 'FlexCacheStorage', {
    embeddingDimensions: options.embeddingDimensions(modelDirectory),
    terminationProtection: true,
  });
  const workflow = new WorkflowStack(app, 'FlexCacheWorkflow', {
    storage,
    modelDirectory: resolve(REPOSITORY_ROOT, modelDirectory),
  });
  // Cost allocation: bills are read by this tag.
  Tags.of(app).add('project', 'flexcache');
  return { app, storage, workflow };
}
