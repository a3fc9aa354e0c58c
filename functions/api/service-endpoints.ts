import type { ModelManifest } from '#models/manifest.ts';
import { videoFacts } from '#models/video-facts.ts';
import type { z } from 'zod';
import { notFound } from './api-error.ts';
import { endpoint, type Endpoint } from './endpoint.ts';
import { healthSchema, modelListSchema, modelSchema } from './schemas/service.ts';
import { secondsOf, sizeOf } from './video-object.ts';

const listModels = endpoint({
  method: 'get',
  path: '/v1/models',
  operationId: 'listModels',
  tag: 'models',
  summary: 'List the models',
  answer: {
    status: 200,
    description: 'The model packages that make videos.',
    schema: modelListSchema,
  },
  errors: [],
  handle: async ({ services: { manifest, modelRevision } }) => ({
    object: 'list',
    data: [modelObject(manifest, modelRevision)],
  }),
});

const getModel = endpoint({
  method: 'get',
  path: '/v1/models/{id}',
  operationId: 'getModel',
  tag: 'models',
  summary: 'Read a model',
  answer: { status: 200, description: 'The model package.', schema: modelSchema },
  errors: [404],
  async handle({ services: { manifest, modelRevision }, id }) {
    if (id !== manifest.name) throw notFound('model', id);
    return modelObject(manifest, modelRevision);
  },
});

function modelObject(manifest: ModelManifest, revision: string): z.infer<typeof modelSchema> {
  const { name, version, license, video, scheduler } = manifest;
  const facts = videoFacts(manifest);
  return {
    id: name,
    object: 'model',
    // A package does not say when it was made.
    created: 0,
    owned_by: 'flexcache',
    version,
    license,
    revision,
    seconds: [secondsOf(facts)],
    sizes: [sizeOf(facts)],
    frames_per_second: video.framesPerSecond,
    steps: scheduler.steps,
  };
}

const getHealth = endpoint({
  method: 'get',
  path: '/healthz',
  operationId: 'getHealth',
  tag: 'service',
  summary: 'Say whether the service answers',
  isOpen: true,
  answer: { status: 200, description: 'It does.', schema: healthSchema },
  errors: [],
  handle: async ({ services: { manifest, modelRevision } }) => ({
    status: 'ok',
    model: manifest.name,
    revision: modelRevision,
  }),
});

export const SERVICE_ENDPOINTS: readonly Endpoint[] = [listModels, getModel, getHealth];
