import type { Backfill } from '#core/backfill.ts';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { LineKeys } from '#readers/line-key.ts';
import { MAX_REQUESTS_BYTES, readRequests } from '#readers/read-requests.ts';
import type { ReadLine } from '#readers/request-line.ts';
import type { BackfillTable } from '#stores/backfills.ts';
import { S3ForeignObjects, type ForeignObjects } from '#stores/foreign-objects.ts';
import type { ObjectStore } from '#stores/objects.ts';
import type { BackfillItem, PrepareInput, PrepareOutput } from '../backfill-states.ts';
import { ENVIRONMENT } from '../environment.ts';
import {
  deployedBackfills,
  deployedModel,
  deployedObjects,
  lazily,
  variable,
} from '../services.ts';
import { namingErrors } from '../task-error.ts';
import { traced } from '../telemetry.ts';

export interface PrepareServices {
  backfills: BackfillTable;
  objects: Pick<ObjectStore, 'put'>;
  /** Where the file is, as its owner put it. */
  uploads: ForeignObjects;
  modelRevision: string;
  /** The package's tuned number of network evaluations. */
  steps: number;
}

/** Requests of one backfill; a file of more is to be split. */
export const MAX_LINES = 100_000;

/**
 * Reads a backfill's file and writes down what each line asks for, those that ask for nothing with
 * the reason. The same file gives the same requests, so it may be run again.
 */
export function createPrepareHandler(
  services: PrepareServices,
): (input: PrepareInput) => Promise<PrepareOutput> {
  return namingErrors(async ({ backfillId }) => {
    const { backfills, objects } = services;
    const backfill = await startedBackfill(backfills, backfillId);
    const items = await readItems(services, backfill);
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
    throw new FlexCacheError('cancelled', 'the backfill was cancelled before it began');
  }
  return backfills.updateBackfill(backfillId, {
    status: 'running',
    startedAt: backfill.startedAt ?? new Date().toISOString(),
  });
}

async function readItems(
  { uploads, modelRevision, steps }: PrepareServices,
  { inputKey, format, defaults }: Backfill,
): Promise<BackfillItem[]> {
  const keys = new LineKeys(modelRevision, defaults);
  const itemOf = (read: ReadLine): BackfillItem => {
    if ('error' in read) {
      const { code, message, field = null, fix = null } = read.error;
      return { line: read.line, text: read.text, error: { code, message, field, fix } };
    }
    const { line, request } = read;
    const key = keys.next(request);
    return {
      line,
      idempotencyKey: key.idempotencyKey,
      prompt: request.prompt,
      seed: request.seed ?? key.seed,
      cache: request.cache ?? defaults.cache,
      steps: request.steps ?? defaults.steps ?? steps,
    };
  };
  const items: BackfillItem[] = [];
  for await (const read of readRequests(format, limited(uploads.read(inputKey)))) {
    if (items.length === MAX_LINES) {
      throw new InvalidInputError(
        'file',
        `the file has more than ${MAX_LINES} requests`,
        'split it into smaller files',
      );
    }
    items.push(itemOf(read));
  }
  return items;
}

/** The bytes of a file, up to what is read of one. @throws InvalidInputError */
export async function* limited(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of source) {
    bytes += piece.byteLength;
    if (bytes > MAX_REQUESTS_BYTES) {
      throw new InvalidInputError(
        'file',
        `the file has more than ${MAX_REQUESTS_BYTES} bytes`,
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
    }),
  );
});
