import type { Backfill } from '#core/backfill.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { BackfillReference, Job } from '#core/generation.ts';
import { executionName } from '#core/identity.ts';
import { newJob, requestOf, type JobModel } from '#core/new-job.ts';
import { newRequest } from '#core/new-request.ts';
import type { BackfillTable } from '#stores/backfills.ts';
import type { Table } from '#stores/table.ts';
import { lineOfJob } from '../backfill-line.ts';
import type { BrokenItem, ReadableItem, SubmitInput, SubmitOutput } from '../backfill-states.ts';
import {
  deployedBackfills,
  deployedModel,
  deployedTable,
  lazily,
  reuseRules,
} from '../services.ts';
import { namingErrors } from '../task-error.ts';
import { traced } from '../telemetry.ts';

export interface SubmitServices extends JobModel {
  table: Pick<Table, 'createJob' | 'resubmitJob'>;
  backfills: Pick<BackfillTable, 'getBackfill' | 'putLine'>;
}

/**
 * Makes a line of a backfill a job, and says which execution makes its video; none when the video is
 * there already. A line that is no request fails here with its reason.
 */
export function createSubmitHandler(
  services: SubmitServices,
): (input: SubmitInput) => Promise<SubmitOutput> {
  return namingErrors(async ({ backfillId, item }) => {
    const backfill = await services.backfills.getBackfill(backfillId);
    if (backfill === null) {
      throw new FlexCacheError('not_found', `there is no backfill ${backfillId}`, {
        field: 'backfillId',
      });
    }
    if (backfill.cancelRequested) {
      throw new FlexCacheError('cancelled', 'the backfill was cancelled before this line began');
    }
    if ('error' in item) return refuse(services, backfill, item);
    return submit(services, backfill, item);
  });
}

async function refuse(
  { backfills }: SubmitServices,
  { backfillId }: Backfill,
  { line, error }: BrokenItem,
): Promise<never> {
  const { code, message, field, fix } = error;
  await backfills.putLine({
    backfillId,
    line,
    status: 'failed',
    videoId: null,
    alreadyThere: false,
    error: {
      code,
      message: fix === null ? message : `${message}: ${fix}`,
      ...(field !== null && { field }),
    },
    endedAt: new Date().toISOString(),
  });
  throw new FlexCacheError(code as FlexCacheError['code'], message, {
    ...(field !== null && { field }),
    ...(fix !== null && { fix }),
  });
}

async function submit(
  { table, backfills, ...model }: SubmitServices,
  backfill: Backfill,
  { line, ...asked }: ReadableItem,
): Promise<SubmitOutput> {
  const { tenant, defaults, metadata } = backfill;
  const reference: BackfillReference = { backfillId: backfill.backfillId, line };
  const request = newRequest(
    {
      ...asked,
      tenant,
      scope: defaults.scope,
      minSimilarity: defaults.minSimilarity,
      maxReuse: defaults.maxReuse,
      pool: 'backfill',
    },
    { steps: asked.steps },
  );
  const made = await table.createJob(newJob(request, model, { metadata, backfill: reference }));
  if (made.job.deletedAt !== undefined) {
    throw new FlexCacheError('condition_failed', `video ${request.videoId} was deleted`, {
      fix: 'ask for another seed to make another',
    });
  }
  const { videoId } = request;
  const job = made.created ? made.job : await table.resubmitJob(videoId, reference);
  if (job.status === 'completed') {
    await backfills.putLine(lineOfJob(job, reference, wasThereBefore(job, backfill)));
    return { done: true, videoId };
  }
  return {
    done: false,
    videoId,
    executionName: executionName(videoId, job.attempt),
    request: requestOf(job),
  };
}

/** A backfill that is started again finds what it has made itself. */
function wasThereBefore(job: Job, backfill: Backfill): boolean {
  return Date.parse(job.completedAt ?? job.updatedAt) < Date.parse(backfill.createdAt);
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel();
  return traced(
    'submit',
    createSubmitHandler({
      table: deployedTable(),
      backfills: deployedBackfills(),
      modelRevision: modelPackage.revision,
      compatibilityKey: reuseRules(modelPackage).compatibilityKey,
    }),
  );
});
