import { readFile } from 'node:fs/promises';
import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, test } from 'vitest';
import { createApi } from '#functions/api/app.ts';
import { ENDPOINTS } from '#functions/api/endpoints.ts';
import type { ApiServices } from '#functions/api/services.ts';
import { modelListSchema } from '#functions/api/schemas/service.ts';
import { possibleHits } from '#core/planning/possible-hits.ts';
import { useApi } from './fixture.ts';

const api = useApi();

interface Document {
  openapi: string;
  paths: Record<string, Record<string, { operationId: string; responses: object }>>;
  components: { schemas: Record<string, { required?: string[] }> };
}

async function readDocument(): Promise<Document> {
  return (await api().call('GET', '/openapi.json')).body as Document;
}

describe('the OpenAPI document', () => {
  test('is the published one: `npm run build:openapi` writes it', async () => {
    const published: unknown = JSON.parse(await readFile('docs/openapi.json', 'utf8'));
    expect(published).toEqual(await readDocument());
  });

  test('is a valid OpenAPI 3.1 document whose references all lead somewhere', async () => {
    const document = await readDocument();
    const validator = new Validator();
    const { valid, errors } = await validator.validate(document as never);
    expect(errors).toBeUndefined();
    expect([valid, validator.version]).toEqual([true, '3.1']);
    for (const [, name] of JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)) {
      expect(name).toMatch(/^#\/components\/schemas\//);
      expect(Object.keys(document.components.schemas)).toContain(name!.split('/').at(-1));
    }
  });

  test('has every endpoint that is served, with its refusals', async () => {
    const { paths } = await readDocument();
    const described = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method} ${path}`),
    );
    expect(described.sort()).toEqual(
      ENDPOINTS.map(({ method, path }) => `${method} ${path}`).sort(),
    );
    expect(Object.keys(paths['/v1/videos']!['post']!.responses)).toEqual([
      '200',
      '400',
      '401',
      '402',
      '409',
      '413',
      '415',
      '429',
      '500',
      '503',
    ]);
    expect(Object.keys(paths['/healthz']!['get']!.responses)).toEqual(['200', '500']);
  });

  test('names what the served model makes wherever a request may choose', async () => {
    const { components } = await readDocument();
    for (const name of ['CreateVideo', 'RemixVideo', 'ExtraParams', 'BackfillPrompt']) {
      const { properties } = components.schemas[name] as { properties: object };
      expect([name, properties]).toMatchObject([
        name,
        {
          num_frames: { enum: [16] },
          fps: { enum: [8] },
          width: { enum: [384] },
          n: { minimum: 1, maximum: 10 },
        },
      ]);
    }
    expect(components.schemas['Model']).toMatchObject({
      required: expect.arrayContaining(['num_frames', 'guidance_scale', 'supports', 'hits']),
    });
  });

  test('asks only for what is asked for: nothing with a default is required of a caller', async () => {
    const { components, paths } = await readDocument();
    expect(components.schemas['CreateVideo']!.required).toEqual(['prompt']);
    expect(components.schemas['CreateBackfill']!.required).toBeUndefined();
    const parameters = (paths['/v1/videos']!['get'] as unknown as { parameters: object[] })
      .parameters;
    expect(parameters).toMatchObject([
      { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: 100, default: 20 } },
      { name: 'after' },
      { name: 'order', schema: { enum: ['asc', 'desc'] } },
    ]);
  });
});

describe('what the document does not have', () => {
  test('is a 404, and a method that an address does not take a 405 that says which it takes', async () => {
    const { call } = api();
    const nowhere = await call('GET', '/v1/pictures');
    expect([nowhere.status, nowhere.body.error.code]).toEqual([404, 'unknown_url']);
    for (const { path } of ENDPOINTS) {
      const taken = ENDPOINTS.filter((endpoint) => endpoint.path === path).flatMap(({ method }) =>
        method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()],
      );
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']) {
        if (taken.includes(method)) continue;
        const { status, headers, body } = await call(method, path.replace('{id}', 'x'));
        expect([method, path, status]).toEqual([method, path, 405]);
        expect(headers.get('allow')!.split(', ').sort()).toEqual([...taken].sort());
        expect(body.error.code).toBe('method_not_allowed');
      }
    }
    expect((await call('DELETE', '/openapi.json')).status).toBe(405);
  });
});

describe('pages of other origins', () => {
  const preflight = (services: ApiServices, origin: string): Promise<Response> =>
    Promise.resolve(
      createApi(services).request('/v1/videos', {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type',
        },
      }),
    );
  const allowed = 'access-control-allow-origin';

  test('may call the API if it is configured to let them, refusals included', async () => {
    const services = { ...api().services, corsOrigins: ['https://app.example.com'] };
    const { status, headers } = await preflight(services, 'https://app.example.com');
    expect([status, headers.get(allowed)]).toEqual([204, 'https://app.example.com']);
    expect(headers.get('access-control-allow-headers')).toContain('Authorization');
    expect(headers.get('access-control-allow-methods')).toContain('DELETE');
    const refused = await createApi(services).request('/v1/videos', {
      headers: { origin: 'https://app.example.com' },
    });
    expect([refused.status, refused.headers.get(allowed)]).toEqual([
      401,
      'https://app.example.com',
    ]);
    expect(refused.headers.get('access-control-expose-headers')).toContain('Retry-After');

    const other = await preflight(services, 'https://evil.example.com');
    expect(other.headers.get(allowed)).toBeNull();
    const everybody = await preflight({ ...services, corsOrigins: ['*'] }, 'https://b.example.com');
    expect(everybody.headers.get(allowed)).toBe('*');
  });

  test('may not unless it is', async () => {
    const { status, headers } = await preflight(api().services, 'https://app.example.com');
    expect([status, headers.get(allowed)]).toEqual([405, null]);
  });
});

describe('models and health', () => {
  test('are told from the model package', async () => {
    const { call, services } = api();
    const { body } = await call('GET', '/v1/models');
    const { steps } = services.manifest.scheduler;
    expect(modelListSchema.parse(body).data).toEqual([
      {
        id: 'demo-world',
        object: 'model',
        created: 0,
        owned_by: 'flexcache',
        version: '1.0.0',
        family: services.manifest.family ?? null,
        license: 'MIT',
        revision: services.modelRevision,
        seconds: ['2'],
        sizes: ['384x384'],
        num_frames: [16],
        frames_per_second: 8,
        latent_shape: [16, 8, 16, 16],
        steps,
        max_steps: 200,
        guidance_scale: 3,
        max_guidance_scale: 20,
        negative_prompt: '',
        max_prompt_tokens: 32,
        max_n: 10,
        supports: {
          guidance_scale: true,
          negative_prompt: true,
          input_reference: false,
          regions: true,
        },
        hits: possibleHits(services.calibration, steps),
      },
    ]);
    // Beside the exact video: something that a calibrated package can start from.
    expect(body.data[0].hits).toEqual(
      expect.arrayContaining(['exact', expect.not.stringMatching('exact')]),
    );
    expect((await call('GET', '/v1/models/demo-world')).body).toEqual(body.data[0]);
    expect((await call('GET', '/v1/models/sora-2')).status).toBe(404);
    expect((await call('GET', '/healthz', { key: null })).body).toMatchObject({ status: 'ok' });
  });
});
