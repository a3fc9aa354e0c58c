import { isDeepStrictEqual } from 'node:util';
import { BACKFILL_FORMATS, type Backfill, type BackfillFormat } from '#core/requests/backfill.ts';
import { choiceOf } from '#core/requests/capabilities.ts';
import { InvalidInputError } from '#core/errors.ts';
import { backfillIdForKey, randomBackfillId } from '#core/requests/identity.ts';
import { choiceFromWire } from '#core/requests/wire-choice.ts';
import { capabilitiesOf } from '#models/capabilities.ts';
import { STANDARD_DEFAULTS } from '#readers/line-key.ts';
import { parseRequestFields, type RequestFields } from '#readers/request-line.ts';
import { ObjectExistsError } from '#ports/errors.ts';
import { sha256Of, validateObjectKey } from '#ports/object-key.ts';
import type { BackfillSource } from '../shared/prediction.ts';
import { validateWebhookUrl } from '../shared/webhooks/webhook-url.ts';
import { ApiError, conflict } from './api-error.ts';
import {
  DEFAULT_CONCURRENCY,
  DEFAULT_TOLERATED_FAILURE_PERCENTAGE,
  type CreateBackfillBody,
} from '../shared/resources/schemas/backfill.ts';
import type { ApiServices } from './services.ts';

/** Where the lines of a backfill come from. @throws ApiError 400 or 403 */
export function sourceOf(tenant: string, body: CreateBackfillBody): BackfillSource {
  const { prompts, input_key: inputKey, format } = body;
  if (prompts !== undefined && inputKey === undefined) {
    return {
      prompts: prompts.map((line) =>
        parseRequestFields(typeof line === 'string' ? { prompt: line } : line),
      ),
    };
  }
  if (prompts !== undefined || inputKey === undefined) {
    throw new ApiError(400, 'invalid_input', 'give either prompts or input_key', {
      param: prompts === undefined ? 'prompts' : 'input_key',
    });
  }
  requireOwnUpload(tenant, inputKey);
  const extension = inputKey.slice(inputKey.lastIndexOf('.') + 1).toLowerCase();
  const known = format ?? BACKFILL_FORMATS.find((candidate) => candidate === extension);
  if (known !== undefined) return { inputKey, format: known };
  throw new ApiError(
    400,
    'invalid_input',
    `the name of the file does not say what it is: give format, one of ${BACKFILL_FORMATS.join(', ')}`,
    { param: 'format' },
  );
}

/** Other keys of the bucket hold other tenants' prompts. */
function requireOwnUpload(tenant: string, inputKey: string): void {
  const folder = `uploads/${tenant}/`;
  try {
    validateObjectKey(inputKey);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new ApiError(400, 'invalid_input', error.message, { param: 'input_key', cause: error });
  }
  if (inputKey.startsWith(folder)) return;
  throw new ApiError(403, 'input_not_yours', `input_key must begin with ${folder}`, {
    param: 'input_key',
  });
}

/** How the lines of a backfill are made, in a run and in a dry run. @throws InvalidInputError */
export function settingsOf(
  { manifest }: Pick<ApiServices, 'manifest'>,
  body: CreateBackfillBody,
): Pick<Backfill, 'defaults' | 'concurrency' | 'toleratedFailurePercentage'> {
  return {
    defaults: {
      cache: body.cache ?? STANDARD_DEFAULTS.cache,
      scope: body.scope ?? STANDARD_DEFAULTS.scope,
      steps: body.steps ?? STANDARD_DEFAULTS.steps,
      minSimilarity: body.min_similarity ?? STANDARD_DEFAULTS.minSimilarity,
      maxReuse: body.max_reuse ?? STANDARD_DEFAULTS.maxReuse,
      ...choiceOf(choiceFromWire(body), capabilitiesOf(manifest)),
    },
    concurrency: body.concurrency ?? DEFAULT_CONCURRENCY,
    toleratedFailurePercentage:
      body.tolerated_failure_percentage ?? DEFAULT_TOLERATED_FAILURE_PERCENTAGE,
  };
}

export interface BackfillRequest {
  tenant: string;
  body: CreateBackfillBody;
  source: BackfillSource;
  idempotencyKey: string | undefined;
}

/**
 * Writes a backfill down and starts it. One that is there already under its key is returned when it
 * was made of the same request.
 *
 * @throws ApiError 400 or 409
 */
export async function startBackfill(
  services: ApiServices,
  request: BackfillRequest,
): Promise<Backfill> {
  const { backfills, backfillStarter } = services;
  const asked = await newBackfill(services, request);
  const { backfill } = await backfills.createBackfill(asked);
  requireSame(backfill, asked);
  if (backfill.status !== 'queued') return backfill;
  // Also one that was there before: a crash may have come between its record and its start.
  try {
    await backfillStarter.start(backfill.backfillId);
  } catch (error) {
    await endUnstarted(services, backfill.backfillId);
    throw error;
  }
  return backfill;
}

async function newBackfill(
  services: ApiServices,
  { tenant, body, source, idempotencyKey }: BackfillRequest,
): Promise<Backfill> {
  const backfillId =
    idempotencyKey === undefined ? randomBackfillId() : backfillIdForKey(tenant, idempotencyKey);
  const webhook =
    body.webhook === undefined ? null : validateWebhookUrl(body.webhook, services.webhookPolicy);
  const input: { inputKey: string; format: BackfillFormat } =
    'prompts' in source
      ? { inputKey: await storePrompts(services, backfillId, source.prompts), format: 'jsonl' }
      : source;
  const now = new Date().toISOString();
  return {
    backfillId,
    tenant,
    status: 'queued',
    ...input,
    ...settingsOf(services, body),
    webhook,
    metadata: body.metadata ?? {},
    modelRevision: services.modelRevision,
    createdAt: now,
    updatedAt: now,
    cancelRequested: false,
  };
}

/** Inline prompts become a file like any other. */
async function storePrompts(
  { objects }: ApiServices,
  backfillId: string,
  prompts: readonly RequestFields[],
): Promise<string> {
  const key = `backfills/${backfillId}/input.jsonl`;
  const bytes = Buffer.from(prompts.map((line) => `${JSON.stringify(line)}\n`).join(''));
  try {
    await objects.put(key, bytes, { ifNoneMatch: true, contentType: 'application/jsonl' });
  } catch (error) {
    if (!(error instanceof ObjectExistsError)) throw error;
    if ((await objects.head(key))?.sha256 !== sha256Of(bytes)) throw usedKey('prompts');
  }
  return key;
}

/** Nobody would ever take it up: it must not wait for ever. */
async function endUnstarted({ backfills }: ApiServices, backfillId: string): Promise<void> {
  await backfills.updateBackfill(backfillId, {
    status: 'failed',
    completedAt: new Date().toISOString(),
    error: {
      code: 'not_started',
      message: 'the backfill could not be started: send it again under a new idempotency key',
    },
  });
}

const COMPARED = [
  'inputKey',
  'format',
  'defaults',
  'concurrency',
  'toleratedFailurePercentage',
  'webhook',
  'metadata',
] as const satisfies readonly (keyof Backfill)[];

function requireSame(present: Backfill, asked: Backfill): void {
  for (const field of COMPARED) {
    if (!isDeepStrictEqual(present[field], asked[field])) throw usedKey(field);
  }
}

function usedKey(field: string): ApiError {
  return conflict(
    'idempotency_key_used',
    `the idempotency key was used for another request: its ${field} was not the same`,
    'Idempotency-Key',
  );
}
