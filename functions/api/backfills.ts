import { isDeepStrictEqual } from 'node:util';
import {
  BACKFILL_FORMATS,
  type Backfill,
  type BackfillDefaults,
  type BackfillFormat,
} from '#core/backfill.ts';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { BACKFILL_ID_PATTERN, backfillIdForKey, randomBackfillId } from '#core/identity.ts';
import { formatUsd } from '#core/money.ts';
import { STANDARD_DEFAULTS } from '#readers/line-key.ts';
import { parseRequestFields, type RequestFields } from '#readers/request-line.ts';
import { ObjectExistsError } from '#stores/errors.ts';
import { sha256Of, validateObjectKey } from '#stores/object-key.ts';
import type { Prediction } from '../predict/prediction.ts';
import { admitRequest } from './admission.ts';
import { ApiError, conflict, notFound } from './api-error.ts';
import type { Caller } from './authenticate.ts';
import { backfillObject, backfillSummary } from './backfill-object.ts';
import { endpoint, type Endpoint } from './endpoint.ts';
import { pageObject } from './page-object.ts';
import {
  backfillListSchema,
  backfillOrPredictionSchema,
  backfillPageQuerySchema,
  backfillSchema,
  createBackfillSchema,
  DEFAULT_CONCURRENCY,
  DEFAULT_TOLERATED_FAILURE_PERCENTAGE,
  type CreateBackfillBody,
  type WirePrediction,
} from './schemas/backfill.ts';
import type { ApiServices } from './services.ts';

/** A thousand prompts of the longest kind; below what a Lambda takes. */
const BACKFILL_BODY_BYTES = 4 * 1024 * 1024;

const createBackfill = endpoint({
  method: 'post',
  path: '/v1/backfills',
  operationId: 'createBackfill',
  tag: 'backfills',
  summary: 'Make a video of each of many prompts, or ask what that would come to',
  body: { schema: createBackfillSchema, limitBytes: BACKFILL_BODY_BYTES, acceptsForm: false },
  isIdempotent: true,
  answer: {
    status: 200,
    description: 'The backfill, queued; with `dry_run` what is to be expected of it.',
    schema: backfillOrPredictionSchema,
  },
  errors: [402, 409, 429],
  async handle({ services, caller, body, idempotencyKey }) {
    const source = sourceOf(caller.tenant, body);
    await admitRequest(services.tenants, caller);
    if (body.dry_run) {
      const question = { tenant: caller.tenant, source, defaults: defaultsOf(body) };
      return predictionObject(await predict(services, question));
    }
    await requireBudget(services, caller);
    return backfillObject(services, await start(services, caller, body, source, idempotencyKey));
  },
});

type Source = { prompts: RequestFields[] } | { inputKey: string; format: BackfillFormat };

function sourceOf(tenant: string, body: CreateBackfillBody): Source {
  const { prompts, input_key: inputKey, format } = body;
  if ((prompts === undefined) === (inputKey === undefined)) {
    throw new ApiError(400, 'invalid_input', 'give either prompts or input_key', {
      param: prompts === undefined ? 'prompts' : 'input_key',
    });
  }
  if (prompts !== undefined) {
    return {
      prompts: prompts.map((line) =>
        parseRequestFields(typeof line === 'string' ? { prompt: line } : line),
      ),
    };
  }
  requireOwnUpload(tenant, inputKey!);
  const extension = inputKey!.slice(inputKey!.lastIndexOf('.') + 1).toLowerCase();
  const known = format ?? BACKFILL_FORMATS.find((candidate) => candidate === extension);
  if (known !== undefined) return { inputKey: inputKey!, format: known };
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

function defaultsOf(body: CreateBackfillBody): BackfillDefaults {
  return {
    cache: body.cache ?? STANDARD_DEFAULTS.cache,
    scope: body.scope ?? STANDARD_DEFAULTS.scope,
    steps: body.steps ?? STANDARD_DEFAULTS.steps,
    minSimilarity: body.min_similarity ?? STANDARD_DEFAULTS.minSimilarity,
    maxReuse: body.max_reuse ?? STANDARD_DEFAULTS.maxReuse,
  };
}

async function predict(
  { predictor }: ApiServices,
  question: Parameters<ApiServices['predictor']['predict']>[0],
): Promise<Prediction> {
  try {
    return await predictor.predict(question);
  } catch (error) {
    if (!(error instanceof FlexCacheError) || error.code !== 'object_missing') throw error;
    throw new ApiError(400, 'input_missing', 'there is no object under input_key', {
      param: 'input_key',
      cause: error,
    });
  }
}

/** Each line is held against the budget when its turn comes; one that is spent need not begin. */
async function requireBudget(
  { tenants }: ApiServices,
  { tenant, limits: { budgetPerDay } }: Caller,
): Promise<void> {
  if (budgetPerDay === null) return;
  const day = new Date().toISOString().slice(0, '2026-11-22'.length);
  const spent = await tenants.getSpending(tenant, day);
  if (spent < budgetPerDay) return;
  throw new ApiError(
    402,
    'budget_exceeded',
    `the $${formatUsd(budgetPerDay, 4)} of ${day} (UTC) are spent or reserved: try again tomorrow, or have the budget raised`,
  );
}

async function start(
  services: ApiServices,
  { tenant }: Caller,
  body: CreateBackfillBody,
  source: Source,
  idempotencyKey: string | undefined,
): Promise<Backfill> {
  const { backfills, backfillStarter } = services;
  const backfillId =
    idempotencyKey === undefined ? randomBackfillId() : backfillIdForKey(tenant, idempotencyKey);
  const input =
    'prompts' in source
      ? { inputKey: await store(services, backfillId, source.prompts), format: 'jsonl' as const }
      : source;
  const now = new Date().toISOString();
  const asked: Backfill = {
    backfillId,
    tenant,
    status: 'queued',
    ...input,
    defaults: defaultsOf(body),
    concurrency: body.concurrency ?? DEFAULT_CONCURRENCY,
    toleratedFailurePercentage:
      body.tolerated_failure_percentage ?? DEFAULT_TOLERATED_FAILURE_PERCENTAGE,
    webhook: body.webhook ?? null,
    metadata: body.metadata ?? {},
    modelRevision: services.modelRevision,
    createdAt: now,
    updatedAt: now,
    cancelRequested: false,
  };
  const { backfill } = await backfills.createBackfill(asked);
  requireSame(backfill, asked);
  if (backfill.status !== 'queued') return backfill;
  // Also when it was there before: a crash may have left it between its record and its start.
  try {
    await backfillStarter.start(backfillId);
  } catch (error) {
    await endUnstarted(services, backfillId);
    throw error;
  }
  return backfill;
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

/** Inline prompts become a file like any other. */
async function store(
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

function predictionObject(prediction: Prediction): WirePrediction {
  const { lines, rejected, lookedAt, measuredVideos } = prediction;
  const isExtrapolated = lookedAt < lines - rejected;
  const notes = [
    measuredVideos > 0
      ? `GPU time as measured on ${measuredVideos} of your videos`
      : 'GPU time is assumed: none of your videos was measured yet',
    "an earlier line counts as a donor by its prompt's vectors: what its video shows is not known yet",
    ...(isExtrapolated
      ? [`the first ${lookedAt} lines were looked up; the others are taken to be like them`]
      : []),
  ];
  return {
    object: 'backfill.prediction',
    lines,
    rejected,
    already_there: prediction.alreadyThere,
    looked_at: lookedAt,
    extrapolated: isExtrapolated,
    hits: prediction.hits,
    steps_run: prediction.stepsRun,
    steps_full: prediction.stepsFull,
    cost: {
      amount: formatUsd(BigInt(prediction.cost)),
      without_cache: formatUsd(BigInt(prediction.costWithoutCache)),
      currency: 'USD',
    },
    notes,
  };
}

const listBackfills = endpoint({
  method: 'get',
  path: '/v1/backfills',
  operationId: 'listBackfills',
  tag: 'backfills',
  summary: 'List backfills',
  query: backfillPageQuerySchema,
  answer: { status: 200, description: 'A page of backfills.', schema: backfillListSchema },
  errors: [404],
  async handle({ services, caller, query: { limit, order, after } }) {
    if (after !== undefined) await findBackfill(services, caller, after);
    const page = await services.backfills.listBackfills(caller.tenant, {
      limit,
      order,
      ...(after !== undefined && { after }),
    });
    return pageObject(page.items.map(backfillSummary), page.hasMore);
  },
});

const getBackfill = endpoint({
  method: 'get',
  path: '/v1/backfills/{id}',
  operationId: 'getBackfill',
  tag: 'backfills',
  summary: 'Read a backfill: counts, cost so far, when it will be done',
  answer: { status: 200, description: 'The backfill.', schema: backfillSchema },
  errors: [404],
  handle: async ({ services, caller, id }) =>
    backfillObject(services, await findBackfill(services, caller, id)),
});

const cancelBackfill = endpoint({
  method: 'delete',
  path: '/v1/backfills/{id}',
  operationId: 'cancelBackfill',
  tag: 'backfills',
  summary: 'Cancel a backfill',
  description:
    'No further line is begun, and what is in the making is cancelled. Videos that are made stay. One that has ended stays as it is.',
  answer: { status: 200, description: 'The backfill.', schema: backfillSchema },
  errors: [404],
  async handle({ services, caller, id }) {
    const backfill = await findBackfill(services, caller, id);
    if (backfill.status === 'queued' || backfill.status === 'running') {
      await services.backfills.requestBackfillCancel(id);
      await services.backfillStarter.stop(id);
    }
    return backfillObject(services, await findBackfill(services, caller, id));
  },
});

async function findBackfill(
  { backfills }: ApiServices,
  { tenant }: Caller,
  id: string,
): Promise<Backfill> {
  const backfill = BACKFILL_ID_PATTERN.test(id) ? await backfills.getBackfill(id) : null;
  if (backfill?.tenant === tenant) return backfill;
  throw notFound('backfill', id);
}

export const BACKFILL_ENDPOINTS: readonly Endpoint[] = [
  createBackfill,
  listBackfills,
  getBackfill,
  cancelBackfill,
];
