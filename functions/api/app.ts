import { randomUUID } from 'node:crypto';
import { Hono, type Context, type MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { ANY_ORIGIN } from '#core/requests/cors-origin.ts';
import { ApiError, toApiError } from './api-error.ts';
import { authenticate } from './authenticate.ts';
import type { Call, Endpoint } from './endpoint.ts';
import { ENDPOINTS } from './endpoints.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { openApiDocument } from './openapi.ts';
import { readBody } from './read-body.ts';
import type { ApiServices } from './services.ts';
import { fromFormText, validate } from './validate.ts';

/** What of a Lambda's event is looked at; elsewhere there is none. */
interface Environment {
  Bindings: { requestContext?: { requestId?: string } };
  Variables: { requestId: string };
}

export const OPENAPI_PATH = '/openapi.json';

/**
 * The HTTP API: the endpoints, and what is the same for all of them. A request passes in this order,
 * and the first that refuses it answers: key, length, content, fields, and then the endpoint's own.
 *
 * @example
 * const response = await createApi(services).request('/healthz');
 */
export function createApi(services: ApiServices): Hono<Environment> {
  const api = new Hono<Environment>();
  if (services.corsOrigins.length > 0) api.use(corsFor(services.corsOrigins));
  api.use(async (context, next) => {
    const requestId = context.env?.requestContext?.requestId ?? randomUUID();
    context.set('requestId', requestId);
    await next();
    context.res.headers.set('x-request-id', requestId);
  });
  api.onError((error, context) => refusal(services, context, error));
  api.notFound((context) =>
    refusal(
      services,
      context,
      new ApiError(404, 'unknown_url', `there is no ${context.req.method} ${context.req.path}`),
    ),
  );
  for (const endpoint of ENDPOINTS) {
    const path = endpoint.path.replace('{id}', ':id');
    api.on(endpoint.method.toUpperCase(), path, (context) => answer(services, endpoint, context));
  }
  const document = JSON.stringify(openApiDocument(services.manifest));
  api.get(OPENAPI_PATH, (context) =>
    context.body(document, 200, { 'content-type': 'application/json' }),
  );
  for (const [path, methods] of methodsByPath()) {
    api.all(path.replace('{id}', ':id'), ({ req }) => {
      throw methodNotAllowed(req.method, path, methods);
    });
  }
  return api;
}

/** Keys are in a header that pages set themselves: no cookies, no credentials. */
function corsFor(origins: readonly string[]): MiddlewareHandler {
  return cors({
    origin: origins.includes(ANY_ORIGIN) ? ANY_ORIGIN : [...origins],
    allowMethods: [...new Set(ENDPOINTS.map(({ method }) => method.toUpperCase()))],
    allowHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key'],
    exposeHeaders: [
      'Retry-After',
      'X-Request-Id',
      'X-Should-Retry',
      ...['Limit', 'Remaining', 'Reset'].map((what) => `X-RateLimit-${what}-Requests`),
    ],
    maxAge: PREFLIGHT_SECONDS,
  });
}

/** Browsers ask again after this, or earlier (Chrome after two hours). */
const PREFLIGHT_SECONDS = 86_400;

/** What each path of the API takes; where it takes GET, the framework answers HEAD too. */
function methodsByPath(): Map<string, string[]> {
  const methods = new Map([[OPENAPI_PATH, ['GET', 'HEAD']]]);
  for (const { path, method } of ENDPOINTS) {
    const known = methods.get(path) ?? [];
    known.push(...(method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
    methods.set(path, known);
  }
  return methods;
}

function methodNotAllowed(method: string, path: string, methods: readonly string[]): ApiError {
  const allow = methods.join(', ');
  return new ApiError(405, 'method_not_allowed', `${path} takes ${allow}, not ${method}`, {
    headers: { allow },
  });
}

async function answer(
  services: ApiServices,
  endpoint: Endpoint,
  context: Context<Environment>,
): Promise<Response> {
  const { req } = context;
  const caller = endpoint.isOpen
    ? NOBODY
    : await authenticate(services, req.header('authorization') ?? null);
  const call: Call<unknown, unknown> = {
    services,
    caller,
    id: req.param('id') ?? '',
    query: endpoint.query && validate(endpoint.query, queryOf(req.queries())),
    idempotencyKey: endpoint.isIdempotent && idempotencyKeyOf(req.header('idempotency-key')),
    body: endpoint.body && (await bodyOf(req.raw, endpoint.body)),
  };
  const answered = await endpoint.handle(call as Call<never, never>);
  if (endpoint.answer.status === 302) return context.redirect(answered as string, 302);
  return context.json(answered as object, 200);
}

/** Of endpoints that need no key and ask for no caller. */
const NOBODY = {
  tenant: '',
  limits: { requestsPerMinute: 0, concurrentJobs: 0, budgetPerDay: 0n },
} as const;

async function bodyOf(
  request: Request,
  { schema, limitBytes, acceptsForm }: NonNullable<Endpoint['body']>,
): Promise<unknown> {
  const { value, isForm } = await readBody(request, { limitBytes, acceptsForm });
  return validate(schema, isForm ? fromFormText(schema, value) : value);
}

/** A parameter that is given more than once stays a list, which none may be. */
function queryOf(queries: Record<string, string[]>): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(queries).map(([name, values]) => [
      name,
      values.length === 1 ? values[0]! : values,
    ]),
  );
}

function refusal(
  { telemetry }: ApiServices,
  context: Context<Environment>,
  error: unknown,
): Response {
  const refused = toApiError(error);
  if (refused.status >= 500) {
    telemetry.log({
      level: refused.status === 500 ? 'error' : 'warn',
      event: 'request_failed',
      requestId: context.get('requestId'),
      request: `${context.req.method} ${context.req.path}`,
      error,
    });
  }
  return context.json(refused.toBody(), refused.status, { ...refused.headers });
}
