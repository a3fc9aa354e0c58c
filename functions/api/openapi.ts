import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import type { Capabilities } from '#core/requests/capabilities.ts';
import type { VideoFacts } from '#core/generation.ts';
import { capabilitiesOf } from '#models/capabilities.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { videoFacts } from '#models/video-facts.ts';
import type { ErrorStatus } from './api-error.ts';
import type { Endpoint } from './endpoint.ts';
import { ENDPOINTS } from './endpoints.ts';
import { MAX_IDEMPOTENCY_KEY } from './idempotency-key.ts';
import { secondsOf, sizeOf } from '../shared/resources/video-object.ts';
import { errorSchema } from './schemas/service.ts';

const DESCRIPTIONS: Readonly<Record<ErrorStatus, string>> = {
  400: 'A field is missing or wrong; `param` names it.',
  401: 'No valid API key.',
  402: 'The budget of the day does not allow it.',
  403: 'It is not yours.',
  404: 'There is none.',
  405: 'The address knows other methods.',
  409: 'It does not fit what is stored.',
  413: 'The body is too long.',
  415: 'The content type is not understood.',
  429: 'Too many requests a minute, too many videos at once, or too many that wait for a worker.',
  500: 'Our fault.',
  503: 'Busy: send it again.',
};

type JsonObject = Record<string, unknown>;

/** The OpenAPI 3.1 document, made of the schemas that check requests and of what the model makes. */
export function openApiDocument(
  manifest: Pick<ModelManifest, 'name' | 'video' | 'scheduler' | 'text' | 'files'>,
): JsonObject {
  const schemas = new Components();
  const paths: Record<string, JsonObject> = {};
  for (const endpoint of ENDPOINTS) {
    paths[endpoint.path] ??= {};
    paths[endpoint.path]![endpoint.method] = operationOf(endpoint, schemas);
  }
  const choices = choicesOf(capabilitiesOf(manifest));
  for (const schema of CHOOSING_SCHEMAS) nameChoices(schemas.all[schema]!, choices);
  nameModel(schemas.all['CreateVideo']!, videoFacts(manifest));
  return {
    openapi: '3.1.0',
    info: {
      title: 'FlexCache',
      version: packageJson.version,
      license: { name: packageJson.license, identifier: packageJson.license },
      description:
        'Text to video that starts from what it has already made, in the dialect of the OpenAI Videos API.',
    },
    // The document is served beside what it describes.
    servers: [{ url: '/' }],
    security: [{ apiKey: [] }],
    tags: ['videos', 'backfills', 'models', 'service'].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } },
      schemas: schemas.all,
    },
  };
}

/** Schemas of requests that say what is made. */
const CHOOSING_SCHEMAS = ['CreateVideo', 'ExtraParams', 'RemixVideo', 'BackfillPrompt'];

/** What fields may ask for, the served package says. */
function choicesOf({ width, height, frames, framesPerSecond }: Capabilities): JsonObject {
  return {
    size: [sizeOf({ width, height })],
    width: [width],
    height: [height],
    num_frames: [frames],
    fps: [framesPerSecond],
  };
}

function nameChoices(schema: JsonObject, choices: JsonObject): void {
  const properties = schema['properties'] as Record<string, JsonObject>;
  for (const [name, values] of Object.entries(choices)) {
    if (properties[name] !== undefined) properties[name] = { ...properties[name], enum: values };
  }
}

/** Which model and length may be asked for. */
function nameModel(createVideo: JsonObject, facts: VideoFacts): void {
  const properties = createVideo['properties'] as Record<string, JsonObject>;
  const { description: ofSeconds } = properties['seconds']!;
  Object.assign(properties, {
    model: { ...properties['model'], enum: [facts.model] },
    seconds: { description: ofSeconds, enum: [secondsOf(facts), facts.seconds] },
  });
}

/** Schemas of the document: those with a name are written once and pointed at. */
class Components {
  readonly all: Record<string, JsonObject> = {};

  /** @param io `input`: as a caller writes it; `output`: as we do. */
  schemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
    const { $schema: _schema, $defs: definitions = {}, ...root } = z.toJSONSchema(schema, { io });
    for (const [name, definition] of Object.entries(definitions)) {
      this.#add(name, definition as JsonObject);
    }
    return this.#named(root);
  }

  #named(root: JsonObject): JsonObject {
    const { id, ...schema } = root;
    if (typeof id !== 'string') return pointed(root) as JsonObject;
    this.#add(id, schema);
    return { $ref: `#/components/schemas/${id}` };
  }

  #add(name: string, { id: _id, ...schema }: JsonObject): void {
    this.all[name] = pointed(schema) as JsonObject;
  }
}

/** The same value with its references pointing into the document. */
function pointed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pointed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      name === '$ref' ? String(inner).replace('#/$defs/', '#/components/schemas/') : pointed(inner),
    ]),
  );
}

function operationOf(endpoint: Endpoint, schemas: Components): JsonObject {
  const { operationId, tag, summary, description, answer, body } = endpoint;
  return {
    operationId,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(endpoint.isOpen && { security: [] }),
    parameters: parametersOf(endpoint, schemas),
    ...(body && {
      requestBody: {
        required: true,
        description: `At most ${body.limitBytes} bytes.`,
        content: Object.fromEntries(
          ['application/json', ...(body.acceptsForm ? ['multipart/form-data'] : [])].map((type) => [
            type,
            { schema: schemas.schemaOf(body.schema, 'input') },
          ]),
        ),
      },
    }),
    responses: {
      [answer.status]:
        answer.status === 200
          ? {
              description: answer.description,
              headers: REQUEST_ID,
              content: {
                'application/json': { schema: schemas.schemaOf(answer.schema, 'output') },
              },
            }
          : {
              description: answer.description,
              headers: { ...REQUEST_ID, Location: { schema: { type: 'string', format: 'uri' } } },
            },
      ...Object.fromEntries(
        errorsOf(endpoint).map((status) => [
          status,
          {
            description: DESCRIPTIONS[status],
            headers: { ...REQUEST_ID, ...((status === 429 || status === 503) && RETRY_AFTER) },
            content: { 'application/json': { schema: schemas.schemaOf(errorSchema, 'output') } },
          },
        ]),
      ),
    },
  };
}

const REQUEST_ID = {
  'x-request-id': { description: 'Names this request in our logs.', schema: { type: 'string' } },
};

const RETRY_AFTER = {
  'Retry-After': { description: 'Seconds.', schema: { type: 'integer' } },
};

function errorsOf({ isOpen, query, body, errors }: Endpoint): ErrorStatus[] {
  const statuses = new Set<ErrorStatus>([...errors, 500]);
  if (!isOpen) statuses.add(401).add(503);
  if (query || body) statuses.add(400);
  if (body) statuses.add(413).add(415);
  return [...statuses].sort((one, other) => one - other);
}

function parametersOf({ path, query, isIdempotent }: Endpoint, schemas: Components): JsonObject[] {
  const parameters: JsonObject[] = [];
  if (path.includes('{id}')) {
    parameters.push({ name: 'id', in: 'path', required: true, schema: { type: 'string' } });
  }
  for (const [name, schema] of Object.entries(query?.shape ?? {})) {
    parameters.push({ name, in: 'query', schema: schemas.schemaOf(schema as z.ZodType, 'input') });
  }
  if (isIdempotent) {
    parameters.push({
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'The same key with the same body answers with what the first one made; with another body it is refused.',
      schema: { type: 'string', minLength: 1, maxLength: MAX_IDEMPOTENCY_KEY },
    });
  }
  return parameters;
}
