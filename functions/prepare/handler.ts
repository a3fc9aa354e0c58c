import type { Backfill } from '#core/requests/backfill.ts';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { MAX_REQUESTS_BYTES, readRequests } from '#readers/read-requests.ts';
import { capabilitiesOf } from '#models/capabilities.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import { S3ForeignObjects, type ExternalObjects } from '#aws/external-objects.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { BackfillTime } from '../shared/backfill-time.ts';
import type { BackfillItem, PrepareInput, PrepareOutput } from '../shared/backfill-states.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import { itemsOf, type LineModel } from '../shared/plan-lines.ts';
import {
  deployedBackfills,
  deployedBackfillTime,
  deployedModel,
  deployedObjects,
  lazily,
  variable,
} from '../shared/services.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { traced } from '../shared/telemetry.ts';

export interface PrepareServices extends LineModel {
  backfills: BackfillTable;
  objects: Pick<ObjectStore, 'put'>;
  /** Store of uploaded files. */
  uploads: ExternalObjects;
  /** Checks that the backfill can finish in time; no check if absent. */
  time?: BackfillTime;
}

/**
 * Reads a backfill's file and stores the request of each line, or its error. Deterministic, so it can be rerun.
 */
export function createPrepareHandler(
  services: PrepareServices,
): (input: PrepareInput) => Promise<PrepareOutput> {
  return withTaskErrors(async ({ backfillId }) => {
    const { backfills, objects } = services;
    const backfill = await startedBackfill(backfills, backfillId);
    const items = await readItems(services, backfill);
    const readable = items.filter((item) => !('error' in item)).length;
    await services.time?.require(readable, backfill.concurrency);
    const requestsKey = `backfills/${backfillId}/requests.jsonl`;
    const body = items.map((item) => `${JSON.stringify(item)}\n`).join('');
    await objects.put(requestsKey, Buffer.from(body), { contentType: 'application/jsonl' });
    await backfills.updateBackfill(backfillId, { lines: items.length });
    const { concurrency, toleratedFailurePercentage } = backfill;
    return {
      requestsKey,
      resultsPrefix: `backfills/${backfillId}/results`,
      lines: items.length,
      concurrency,
      toleratedFailurePercentage,
    };
  });
}

async function startedBackfill(backfills: BackfillTable, backfillId: string): Promise<Backfill> {
  const backfill = await backfills.getBackfill(backfillId);
  if (backfill === null) {
    throw new FlexCacheError('not_found', `there is no backfill ${backfillId}`, {
      field: 'backfillId',
    });
  }
  if (backfill.cancelRequested) {
    throw new FlexCacheError('cancelled', 'the backfill was canceled before it started');
  }
  return backfills.updateBackfill(backfillId, {
    status: 'running',
    startedAt: backfill.startedAt ?? new Date().toISOString(),
  });
}

async function readItems(
  { uploads, ...model }: PrepareServices,
  { inputKey, format, defaults }: Backfill,
): Promise<BackfillItem[]> {
  const items: BackfillItem[] = [];
  const lines = readRequests(format, limited(uploads.read(inputKey)));
  for await (const item of itemsOf(lines, defaults, model)) items.push(item);
  return items;
}

/** Passes a file's bytes through. @throws InvalidInputError above `MAX_REQUESTS_BYTES` */
export async function* limited(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of source) {
    bytes += piece.byteLength;
    if (bytes > MAX_REQUESTS_BYTES) {
      throw new InvalidInputError(
        'file',
        `the file is larger than ${MAX_REQUESTS_BYTES} bytes`,
        'split it into smaller files',
      );
    }
    yield piece;
  }
}

export const handler = lazily(async () => {
  const { revision, manifest } = await deployedModel();
  return traced(
    'prepare',
    createPrepareHandler({
      backfills: deployedBackfills(),
      objects: deployedObjects(),
      uploads: new S3ForeignObjects({ bucket: variable(ENVIRONMENT.latentsBucket) }),
      modelRevision: revision,
      steps: manifest.scheduler.steps,
      capabilities: capabilitiesOf(manifest),
      time: deployedBackfillTime(),
    }),
  );
});
