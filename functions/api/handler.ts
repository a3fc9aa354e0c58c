import { handle } from 'hono/aws-lambda';
import type { LambdaContext, LambdaEvent } from 'hono/aws-lambda';
import { parseUsd } from '#core/pricing/money.ts';
import type { TenantLimits } from '#core/requests/tenant.ts';
import { DynamoDeliveryLog } from '#aws/deliveries.ts';
import { SfnBackfillStarter } from '#aws/sfn-backfill-starter.ts';
import { SfnWorkflowStarter } from '#aws/sfn-workflow.ts';
import { deployedPrices } from '../shared/deployed-prices.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import { endJob } from '../shared/end-job.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import {
  deployedJobEnd,
  deployedModel,
  deployedObjects,
  deployedPace,
  deployedRules,
  deployedVideoDays,
  deployedTable,
  deployedVectors,
  lazily,
  numericVariable,
  variable,
} from '../shared/services.ts';
import { traced } from '../shared/telemetry.ts';
import { createApi } from './app.ts';
import { LambdaPredictor } from './lambda-predictor.ts';
import type { ApiServices } from './services.ts';

/** Answers the events of an HTTP API (payload format 2.0). */
export function createApiHandler(
  services: ApiServices,
): (event: LambdaEvent) => ReturnType<ReturnType<typeof handle>> {
  const answer = handle(createApi(services));
  // Nothing of the context is read.
  return async (event) => answer(event, {} as LambdaContext);
}

/** Those of the deployment; an empty variable is no limit. */
function deployedLimits(): TenantLimits {
  const text = (name: string): string => process.env[name] ?? '';
  const count = (name: string): number | null => (text(name) === '' ? null : Number(text(name)));
  const budget = text(ENVIRONMENT.defaultBudgetPerDayUsd);
  return {
    requestsPerMinute: count(ENVIRONMENT.defaultRequestsPerMinute),
    concurrentJobs: count(ENVIRONMENT.defaultConcurrentJobs),
    budgetPerDay: budget === '' ? null : parseUsd(budget, ENVIRONMENT.defaultBudgetPerDayUsd),
  };
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel();
  const table = deployedTable();
  const jobEnd = deployedJobEnd();
  const answer = createApiHandler({
    table,
    ...jobEnd,
    deliveries: new DynamoDeliveryLog({ tableName: variable(ENVIRONMENT.tableName) }),
    objects: deployedObjects(),
    vectors: deployedVectors(),
    workflow: new SfnWorkflowStarter({ stateMachineArn: variable(ENVIRONMENT.generateArn) }),
    backfillStarter: new SfnBackfillStarter({
      stateMachineArn: variable(ENVIRONMENT.backfillArn),
    }),
    predictor: new LambdaPredictor({ functionName: variable(ENVIRONMENT.predictFunction) }),
    endJob: (job) => endJob({ table, ...jobEnd }, job),
    manifest: modelPackage.manifest,
    modelRevision: modelPackage.revision,
    ...(await deployedRules(modelPackage)),
    prices: deployedPrices(),
    pace: deployedPace(),
    interactiveWorkers: numericVariable(ENVIRONMENT.interactiveMax),
    videosExpireAfterDays: deployedVideoDays(),
    defaultLimits: deployedLimits(),
    webhookPolicy: {},
    corsOrigins: (process.env[ENVIRONMENT.corsOrigins] ?? '').split(',').filter(Boolean),
    telemetry: deployedTelemetry(),
  });
  return traced('api', answer);
});
