import { App, Tags, type Environment } from 'aws-cdk-lib';
import { ApiStack } from './api-stack.ts';
import { FEATURE_FLAGS } from './feature-flags.ts';
import { GpuStack } from './gpu-stack.ts';
import { readModelManifest } from './model-layers.ts';
import { ObservabilityStack, type ObservedStacks } from './observability-stack.ts';
import { refuseUnpricedMachines } from './prices.ts';
import { RetentionStack } from './retention-stack.ts';
import { settingsOf, type Settings } from './settings.ts';
import { StorageStack } from './storage-stack.ts';
import { WorkflowStack } from './workflow-stack.ts';

export interface CreateAppOptions {
  /** Settings that override the defaults; the CDK command line overrides these. */
  context?: Record<string, unknown>;
  /** Region of the deployment's credentials, if the settings have none; null if unknown. */
  deployingRegion?: string | null;
}

export interface FlexCacheApp extends ObservedStacks {
  app: App;
  observability: ObservabilityStack;
}

/** Creates all stacks. Context `bundle=false` omits the functions' code. */
export function createApp(options: CreateAppOptions = {}): FlexCacheApp {
  const app = new App({ context: { ...FEATURE_FLAGS, ...options.context } });
  const settings = settingsOf(app);
  refuseUnpricedMachines(settings, options.deployingRegion ?? null);
  const env = environmentOf(settings);
  const storage = new StorageStack(app, 'FlexCacheStorage', {
    env,
    embeddingDimensions: readModelManifest(app).embedding.dimensions,
    terminationProtection: settings.stage === 'production',
  });
  const gpu = new GpuStack(app, 'FlexCacheGpu', { env, storage });
  const workflow = new WorkflowStack(app, 'FlexCacheWorkflow', {
    env,
    storage,
    fleet: gpu.fleetResources,
  });
  const retention = new RetentionStack(app, 'FlexCacheRetention', { env, storage, workflow });
  const api = new ApiStack(app, 'FlexCacheApi', { env, storage, workflow });
  const observed = { storage, gpu, workflow, retention, api };
  const observability = new ObservabilityStack(app, 'FlexCacheObservability', { env, observed });
  // Cost allocation tag.
  Tags.of(app).add('project', 'flexcache');
  return { app, ...observed, observability };
}

/** Returns the environment; account and region default to those of the credentials. */
function environmentOf({ account, region }: Settings): Environment {
  return { ...(account !== null && { account }), ...(region !== null && { region }) };
}
