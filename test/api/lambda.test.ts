import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LambdaClient } from '@aws-sdk/client-lambda';
import type { LambdaEvent } from 'hono/aws-lambda';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createApiHandler } from '#functions/api/handler.ts';
import { LambdaPredictor } from '#functions/api/lambda-predictor.ts';
import { useApi } from './fixture.ts';

const api = useApi();

interface Sent {
  method: string;
  path: string;
  query?: string;
  headers?: Record<string, string>;
  body?: string;
  isBase64Encoded?: boolean;
}

/** An event as an HTTP API sends it (payload format 2.0). */
function eventOf({ method, path, query = '', headers = {}, body, isBase64Encoded = false }: Sent) {
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    headers: {
      accept: '*/*',
      authorization: `Bearer ${api().key}`,
      host: 'a1b2c3d4e5.execute-api.us-east-1.amazonaws.com',
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-port': '443',
      'x-forwarded-proto': 'https',
      ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
      ...headers,
    },
    ...(query !== '' && { queryStringParameters: Object.fromEntries(new URLSearchParams(query)) }),
    requestContext: {
      accountId: '123456789012',
      apiId: 'a1b2c3d4e5',
      domainName: 'a1b2c3d4e5.execute-api.us-east-1.amazonaws.com',
      domainPrefix: 'a1b2c3d4e5',
      http: {
        method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp: '203.0.113.7',
        userAgent: 'curl/8.9.1',
      },
      requestId: 'KdmGqhK1IAMEJ1g=',
      routeKey: '$default',
      stage: '$default',
      time: '22/Nov/2026:10:15:00 +0000',
      timeEpoch: 1795342500000,
    },
    ...(body !== undefined && { body }),
    isBase64Encoded,
  } as unknown as LambdaEvent;
}

describe('events of an HTTP API', () => {
  test('that carry JSON are answered, and the answer names the request as AWS does', async () => {
    const answer = await createApiHandler(api().services)(
      eventOf({
        method: 'POST',
        path: '/v1/videos',
        headers: { 'content-type': 'application/json' },
        body: '{"prompt":"a red ball"}',
      }),
    );
    expect(answer.statusCode).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ status: 'queued', prompt: 'a red ball' });
    expect(answer.isBase64Encoded).toBe(false);
    expect((answer as { headers?: object }).headers).toMatchObject({
      'x-request-id': 'KdmGqhK1IAMEJ1g=',
    });
  });

  test('that carry a form have it in base64', async () => {
    const form = [
      '--xyz',
      'Content-Disposition: form-data; name="prompt"',
      '',
      'a red ball — über dem Meer',
      '--xyz',
      'Content-Disposition: form-data; name="extra_params[cache]"',
      '',
      'off',
      '--xyz--',
      '',
    ].join('\r\n');
    const answer = await createApiHandler(api().services)(
      eventOf({
        method: 'POST',
        path: '/v1/videos',
        headers: {
          'content-type': 'multipart/form-data; boundary=xyz',
          'content-length': String(Buffer.byteLength(form)),
        },
        body: Buffer.from(form).toString('base64'),
        isBase64Encoded: true,
      }),
    );
    expect(answer.statusCode).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({
      prompt: 'a red ball — über dem Meer',
      cache: { mode: 'off' },
    });
  });

  test('lead to content, and pass on the query', async () => {
    const { create, complete, services } = api();
    const { body } = await create();
    const { result } = await complete(body.id);
    await services.objects.put(result!.posterKey, Buffer.from('a picture'));
    const handler = createApiHandler(services);
    const answer = await handler(
      eventOf({
        method: 'GET',
        path: `/v1/videos/${body.id}/content`,
        query: 'variant=thumbnail',
      }),
    );
    expect(answer.statusCode).toBe(302);
    expect((answer as { headers?: Record<string, string> }).headers?.['location']).toMatch(/png/);
    const listed = await handler(eventOf({ method: 'GET', path: '/v1/videos', query: 'limit=1' }));
    expect(JSON.parse(listed.body).data).toHaveLength(1);
    const refused = await handler(
      eventOf({ method: 'GET', path: '/v1/videos', headers: { authorization: 'Bearer x' } }),
    );
    expect(refused.statusCode).toBe(401);
  });
});

describe('asking the predicting function', () => {
  const question = {
    tenant: 't',
    source: { prompts: [{ prompt: 'x' }] },
    defaults: {
      cache: 'auto',
      scope: 'tenant',
      steps: null,
      minSimilarity: 0,
      maxReuse: 1,
    },
    concurrency: 10,
    budgetPerDay: null,
  } as const;

  async function predictorAt(answer: (response: ServerResponse) => void): Promise<LambdaPredictor> {
    const server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = new LambdaClient({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
      maxAttempts: 1,
    });
    return new LambdaPredictor({ functionName: 'predict', client });
  }

  const failing = (errorType: string, errorMessage: string) => (response: ServerResponse) => {
    response.setHeader('x-amz-function-error', 'Unhandled');
    response.end(JSON.stringify({ errorType, errorMessage }));
  };

  test('hands its answer on', async () => {
    const predictor = await predictorAt((response) => response.end('{"lines":7}'));
    expect(await predictor.predict({ ...question, source: { prompts: [] } })).toEqual({ lines: 7 });
  });

  test.each([
    ['invalid_input', 'invalid_input: the file has no header', 400],
    ['object_missing', 'object_missing: object x is not in the store', 400],
    ['Transient', 'throttled: slow down', 503],
    ['TypeError', 'x of 10.0.0.7 is undefined', 500],
  ])('that failed with %s is answered by what it means', async (errorType, message, status) => {
    const { services, call, tenant } = api();
    services.predictor = await predictorAt(failing(errorType, message));
    const answered = await call('POST', '/v1/backfills', {
      json: { input_key: `uploads/${tenant}/p.txt`, dry_run: true },
    });
    expect(answered.status).toBe(status);
    expect(answered.body.error.message).not.toContain('10.0.0.7');
    if (status === 400) expect(answered.body.error.param).toBe('input_key');
  });
});
