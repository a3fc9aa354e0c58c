import type { Backfill } from '#core/requests/backfill.ts';
import { estimateCost } from '#core/costs/cost.ts';
import { addDays, dayAt, dayOf } from '#core/day.ts';
import { FlexCacheError, messageWithFix } from '#core/errors.ts';
import type { BackfillReference, GenerationRequest, Job } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { executionName } from '#core/requests/identity.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { newJob, requestOf, type JobModel } from '#core/requests/new-job.ts';
import { videoFacts } from '#models/video-facts.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import type { Table } from '#ports/table.ts';
import type { TenantTable } from '#ports/tenants.ts';
import { lineOfJob, referenceOf } from '../shared/backfill-line.ts';
import type {
  BackfillItem,
  ItemError,
  SubmitInput,
  SubmitOutput,
} from '../shared/backfill-states.ts';
import { costBy, deployedPrices } from '../shared/deployed-prices.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import {
  deployedBackfills,
  deployedModel,
  deployedTable,
  deployedTenants,
  lazily,
  packageKey,
  type Services,
} from '../shared/services.ts';
import { StepMeter, type MeteringServices } from '../shared/step-meter.ts';
import { settleAttempt } from '../shared/end-job.ts';
import { admitLine, requestOfItem } from '../shared/plan-lines.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { traced } from '../shared/telemetry.ts';

export interface SubmitServices
  extends JobModel, Pick<Services, 'costOf'>, Pick<MeteringServices, 'telemetry'> {
  table: Pick<Table, 'getJob' | 'createJob' | 'resubmitJob' | 'recordUsage'>;
  tenants: Pick<TenantTable, 'getTenant' | 'reserve' | 'getSpending' | 'settle'>;
  backfills: Pick<BackfillTable, 'getBackfill' | 'putLine'>;
  /** Estimates the cost of a video with this many network evaluations, pico-dollars. */
  estimate: (steps: number) => bigint;
  /** Daily budget of a tenant without its own, pico-dollars; null: unlimited. */
  defaultBudgetPerDay: bigint | null;
}

/**
 * Creates a job from a backfill line and returns the name of its execution, or `done` if the video already
 * exists. A line without a valid request fails here, with the error on record.
 */
export function createSubmitHandler(
  services: SubmitServices,
): (input: SubmitInput) => Promise<SubmitOutput> {
  return withTaskErrors(async ({ backfillId, item }) => {
    const backfill = await services.backfills.getBackfill(backfillId);
    if (backfill === null) {
      throw new FlexCacheError('not_found', `there is no backfill ${backfillId}`, {
        field: 'backfillId',
      });
    }
    if (backfill.cancelRequested) {
      throw new FlexCacheError('cancelled', 'the backfill was canceled before this line started');
    }
    try {
      if ('error' in item) throw errorOf(item.error);
      const request = requestOfItem(backfill, item);
      return await StepMeter.run('submit', services, request.videoId, (meter) =>
        submit(services, backfill, { reference: referenceOf(backfillId, item), request }, meter),
      );
    } catch (error) {
      if (error instanceof FlexCacheError && !error.transient) {
        await recordFailure(services, backfill, item, error);
      }
      throw error;
    }
  });
}

function errorOf({ code, message, field, fix }: ItemError): FlexCacheError {
  return new FlexCacheError(code as FlexCacheError['code'], message, {
    ...(field !== null && { field }),
    ...(fix !== null && { fix }),
  });
}

async function recordFailure(
  { backfills }: SubmitServices,
  { backfillId }: Backfill,
  item: BackfillItem,
  error: FlexCacheError,
): Promise<void> {
  const { code, field } = error;
  await backfills.putLine({
    ...referenceOf(backfillId, item),
    status: 'failed',
    videoId: null,
    alreadyThere: false,
    error: { code, message: messageWithFix(error), ...(field !== undefined && { field }) },
    endedAt: new Date().toISOString(),
  });
}

/** Charges this step to the new video; to none if the video already exists. */
async function submit(
  services: SubmitServices,
  backfill: Backfill,
  { reference, request }: { reference: BackfillReference; request: GenerationRequest },
  meter: StepMeter,
): Promise<SubmitOutput> {
  const { table, backfills, modelRevision, compatibilityKey, facts } = services;
  const { metadata } = backfill;
  const wanted = newJob(
    request,
    { modelRevision, compatibilityKey, facts },
    { metadata, backfill: reference },
  );
  const { videoId } = request;
  const present = await table.getJob(videoId);
  if (present !== null) await chargeEnd(services, present);
  const { tenants, estimate } = services;
  const budgetOf = (tenant: string): Promise<bigint | null> => budgetPerDayOf(services, tenant);
  await admitLine({ tenants, estimate, budgetOf }, wanted, present);
  const { job: stored, created } =
    present === null ? await table.createJob(wanted) : { job: present, created: false };
  const isAgain = !created && hasEnded(stored) && stored.status !== 'completed';
  const job = isAgain ? await table.resubmitJob(videoId, reference) : stored;
  if (job.status === 'completed') {
    const isEarlier = Date.parse(job.completedAt!) < Date.parse(backfill.createdAt);
    await backfills.putLine(lineOfJob(services, job, reference, isEarlier));
    return { done: true, videoId };
  }
  meter.attempt = job.attempt;
  await meter.enter();
  return {
    done: false,
    videoId,
    executionName: executionName(videoId, job.attempt),
    request: requestOf(job),
  };
}

/** Shorter than charges are kept, so that none is written twice. */
const CHARGED_AGAIN_WITHIN_DAYS = 30;

/** Charges a job that ended without a charge because of a crash; idempotent. */
async function chargeEnd(services: SubmitServices, job: Job): Promise<void> {
  const oldest = addDays(dayAt(Date.now()), -CHARGED_AGAIN_WITHIN_DAYS);
  if (hasEnded(job) && dayOf(job.createdAt) >= oldest) await settleAttempt(services, job);
}

async function budgetPerDayOf(
  { tenants, defaultBudgetPerDay }: SubmitServices,
  tenant: string,
): Promise<bigint | null> {
  const { budgetPerDay } = (await tenants.getTenant(tenant)) ?? {};
  return budgetPerDay === undefined ? defaultBudgetPerDay : budgetPerDay;
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel();
  const prices = deployedPrices();
  const budget = process.env[ENVIRONMENT.defaultBudgetPerDayUsd] ?? '';
  return traced(
    'submit',
    createSubmitHandler({
      table: deployedTable(),
      telemetry: deployedTelemetry(),
      tenants: deployedTenants(),
      backfills: deployedBackfills(),
      modelRevision: modelPackage.revision,
      facts: videoFacts(modelPackage.manifest),
      compatibilityKey: packageKey(modelPackage),
      costOf: costBy(prices),
      estimate: (steps) => estimateCost({ networkEvaluations: steps }, prices).total,
      defaultBudgetPerDay:
        budget === '' ? null : parseUsd(budget, ENVIRONMENT.defaultBudgetPerDayUsd),
    }),
  );
});
