import type { Backfill, BackfillLine } from '#core/requests/backfill.ts';
import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type { BackfillReference, JobStatus } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { videoIdForKey } from '#core/requests/identity.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import { S3ForeignObjects, type ExternalObjects } from '#aws/external-objects.ts';
import type { NotificationQueue } from '#ports/notifications.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { Table } from '#ports/table.ts';
import { lineOfJob, referenceOf } from '../shared/backfill-line.ts';
import type { CloseInput, CloseOutput } from '../shared/backfill-states.ts';
import { costBy, deployedPrices } from '../shared/deployed-prices.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import { explainFailure } from '../shared/explain-failure.ts';
import {
  deployedBackfills,
  deployedNotifications,
  deployedObjects,
  deployedTable,
  lazily,
  variable,
  type Services,
} from '../shared/services.ts';
import type { CaughtError } from '../shared/states.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { traced } from '../shared/telemetry.ts';
import { latestManifest, readResults, type ItemResult } from './map-results.ts';

export interface CloseServices extends Pick<Services, 'costOf'> {
  table: Pick<Table, 'getJob'>;
  backfills: BackfillTable;
  objects: Pick<ObjectStore, 'list'>;
  /** Store of the map's results. */
  results: ExternalObjects;
  notifications: NotificationQueue;
}

const TOO_MANY_FAILED = 'States.ExceedToleratedFailureThreshold';

/**
 * Ends a backfill: records the result of every started line, sets the status and sends the webhook event. A
 * backfill that has ended keeps its status.
 */
export function createCloseHandler(
  services: CloseServices,
): (input: CloseInput) => Promise<CloseOutput> {
  return withTaskErrors(async ({ backfillId, map, error }) => {
    const { backfills, objects, notifications } = services;
    const backfill = await backfills.getBackfill(backfillId);
    if (backfill === null) {
      throw new FlexCacheError('not_found', `there is no backfill ${backfillId}`, {
        field: 'backfillId',
      });
    }
    let { status } = backfill;
    if (!hasEnded(backfill)) {
      const manifestKey =
        map?.ResultWriterDetails.Key ??
        (await latestManifest(objects, `backfills/${backfillId}/results`));
      if (manifestKey !== null) await recordMissingLines(services, backfill, manifestKey);
      status = await end(backfills, backfill, manifestKey, error);
    }
    // Also when an earlier run ended the backfill and crashed before this line: at least once.
    if (backfill.webhook !== null) await notifications.send({ kind: 'backfill', id: backfillId });
    return { backfillId, status };
  });
}

async function end(
  backfills: BackfillTable,
  backfill: Backfill,
  manifestKey: string | null,
  error: CaughtError | undefined,
): Promise<JobStatus> {
  const reason = error && explain(error, backfill);
  const isCancelled = backfill.cancelRequested || reason?.code === 'cancelled';
  const status = isCancelled ? 'cancelled' : reason ? 'failed' : 'completed';
  try {
    await backfills.updateBackfill(backfill.backfillId, {
      status,
      completedAt: new Date().toISOString(),
      ...(manifestKey !== null && { manifestKey }),
      ...(reason && { error: reason }),
    });
    return status;
  } catch (conflict) {
    if (!(conflict instanceof ConditionFailedError)) throw conflict;
    return (await backfills.getBackfill(backfill.backfillId))!.status;
  }
}

function explain(
  error: CaughtError,
  { toleratedFailurePercentage }: Backfill,
): { code: string; message: string } {
  if (error.Error !== TOO_MANY_FAILED) return explainFailure(error);
  return {
    code: 'workflow_failed',
    message: `more than ${toleratedFailurePercentage} % of the lines failed: correct them and submit the file again`,
  };
}

/**
 * Records lines without a result. The end of a job records its line, except for lines whose job belongs to another
 * backfill and lines that failed before they had a job.
 */
async function recordMissingLines(
  services: CloseServices,
  backfill: Backfill,
  manifestKey: string,
): Promise<void> {
  const recorded = new Set<string>();
  const nameOf = ({ line, video = 1 }: BackfillReference): string => `${line} ${video}`;
  for await (const line of services.backfills.listLines(backfill.backfillId)) {
    recorded.add(nameOf(line));
  }
  for await (const result of readResults(services.results, manifestKey)) {
    if (recorded.has(nameOf(referenceOf(backfill.backfillId, result.item)))) continue;
    const line = await lineOf(services, backfill, result);
    if (line !== null) await services.backfills.putLine(line);
  }
}

async function lineOf(
  services: CloseServices,
  { backfillId, tenant, createdAt }: Backfill,
  result: ItemResult,
): Promise<BackfillLine | null> {
  const { item } = result;
  const reference = referenceOf(backfillId, item);
  const job =
    'error' in item
      ? null
      : await services.table.getJob(videoIdForKey(tenant, item.idempotencyKey));
  if (result.status === 'succeeded') {
    const isEarlier = Date.parse(job?.completedAt ?? '') < Date.parse(createdAt);
    return job && lineOfJob(services, job, reference, isEarlier);
  }
  if (job?.status === 'failed' || job?.status === 'cancelled') {
    return lineOfJob(services, job, reference, false);
  }
  const error = explainFailure(result.error);
  return {
    ...reference,
    status: error.code === 'cancelled' ? 'cancelled' : 'failed',
    videoId: null,
    alreadyThere: false,
    error,
    endedAt: new Date().toISOString(),
  };
}

export const handler = lazily(async () => {
  return traced(
    'close',
    createCloseHandler({
      table: deployedTable(),
      backfills: deployedBackfills(),
      objects: deployedObjects(),
      results: new S3ForeignObjects({ bucket: variable(ENVIRONMENT.latentsBucket) }),
      notifications: deployedNotifications(),
      costOf: costBy(deployedPrices()),
    }),
  );
});
