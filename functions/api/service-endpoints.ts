import { notFound } from './api-error.ts';
import { endpoint, type Endpoint } from './endpoint.ts';
import { modelObject } from './model-object.ts';
import { healthSchema, modelListSchema, modelSchema } from './schemas/service.ts';

const listModels = endpoint({
  method: 'get',
  path: '/v1/models',
  operationId: 'listModels',
  tag: 'models',
  summary: 'List the models',
  answer: {
    status: 200,
    description: 'The model packages that make videos, and what requests may choose.',
    schema: modelListSchema,
  },
  errors: [],
  handle: async ({ services }) => ({ object: 'list', data: [modelObject(services)] }),
});

const getModel = endpoint({
  method: 'get',
  path: '/v1/models/{id}',
  operationId: 'getModel',
  tag: 'models',
  summary: 'Read a model',
  answer: { status: 200, description: 'The model package.', schema: modelSchema },
  errors: [404],
  async handle({ services, id }) {
    if (id !== services.manifest.name) throw notFound('model', id);
    return modelObject(services);
  },
});

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
