import type { Backfill } from '#core/requests/backfill.ts';
import { dayOf } from '#core/day.ts';
import { FlexCacheError } from '#core/errors.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { BACKFILL_ID_PATTERN } from '#core/requests/identity.ts';
import { formatUsd } from '#core/pricing/money.ts';
import type { Prediction, PredictionQuestion } from '../shared/prediction.ts';
import { admitRequest } from './admission.ts';
import { ApiError, notFound } from './api-error.ts';
import type { Caller } from './authenticate.ts';
import { backfillObject, backfillSummary } from '../shared/resources/backfill-object.ts';
import { endpoint, type Endpoint } from './endpoint.ts';
import { settingsOf, sourceOf, startBackfill } from './new-backfill.ts';
import { pageObject } from './page-object.ts';
import { predictionObject } from './prediction-object.ts';
import { redeliver } from './redeliver.ts';
import {
  backfillListSchema,
  backfillOrPredictionSchema,
  backfillPageQuerySchema,
  backfillSchema,
  createBackfillSchema,
} from '../shared/resources/schemas/backfill.ts';
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
  errors: [402, 403, 409, 429],
  async handle({ services, caller, body, idempotencyKey }) {
    const source = sourceOf(caller.tenant, body);
    await admitRequest(services.tenants, caller);
    if (body.dry_run) {
      const { tenant, limits } = caller;
      const { defaults, concurrency, toleratedFailurePercentage } = settingsOf(services, body);
      const budgetPerDay = limits.budgetPerDay?.toString() ?? null;
      const question = { tenant, source, defaults, concurrency, budgetPerDay };
      const prediction = await predict(services, question);
      return predictionObject(prediction, toleratedFailurePercentage);
    }
    await requireBudget(services, caller);
    const { tenant } = caller;
    const backfill = await startBackfill(services, { tenant, body, source, idempotencyKey });
    return backfillObject(services, backfill);
  },
});

async function predict(
  { predictor }: ApiServices,
  question: PredictionQuestion,
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
  const day = dayOf(new Date().toISOString());
  const spent = await tenants.getSpending(tenant, day);
  if (spent < budgetPerDay) return;
  throw new ApiError(
    402,
    'budget_exceeded',
    `the $${formatUsd(budgetPerDay, 4)} of ${day} (UTC) are spent or reserved: try again tomorrow, or have the budget raised`,
  );
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
    if (after !== undefined) await findBackfill(services, caller, after, 'after');
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
    'No further line is started, and videos in progress are cancelled. Completed videos stay. A backfill that has ended stays as it is.',
  answer: { status: 200, description: 'The backfill.', schema: backfillSchema },
  errors: [404],
  async handle({ services, caller, id }) {
    const backfill = await findBackfill(services, caller, id);
    if (!hasEnded(backfill)) {
      await services.backfills.requestBackfillCancel(id);
      await services.backfillStarter.stop(id);
    }
    return backfillObject(services, await findBackfill(services, caller, id));
  },
});

const redeliverBackfill = endpoint({
  method: 'post',
  path: '/v1/backfills/{id}/webhook/redeliver',
  operationId: 'redeliverBackfillWebhook',
  tag: 'backfills',
  summary: 'Tell the webhook of a backfill once more that it has ended',
  answer: {
    status: 200,
    description: 'The backfill; its webhook is told soon.',
    schema: backfillSchema,
  },
  errors: [404, 409, 429],
  async handle({ services, caller, id }) {
    await admitRequest(services.tenants, caller);
    await redeliver(services, { kind: 'backfill', id }, await findBackfill(services, caller, id));
    return backfillObject(services, await findBackfill(services, caller, id));
  },
});

async function findBackfill(
  { backfills }: ApiServices,
  { tenant }: Caller,
  id: string,
  param: 'id' | 'after' = 'id',
): Promise<Backfill> {
  const backfill = BACKFILL_ID_PATTERN.test(id) ? await backfills.getBackfill(id) : null;
  if (backfill?.tenant === tenant) return backfill;
  throw notFound('backfill', id, param);
}

export const BACKFILL_ENDPOINTS: readonly Endpoint[] = [
  createBackfill,
  listBackfills,
  getBackfill,
  cancelBackfill,
  redeliverBackfill,
];
