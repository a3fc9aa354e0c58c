import { resolve } from 'node:path';
import { InvalidInputError } from '#core/errors.ts';
import { isBatch, MAX_BATCH } from '#models/step-batches.ts';
import { fromDigits } from '#readers/request-line.ts';
import type { EmbeddedCloud, EmbeddedCloudOptions } from '#local/embedded-cloud.ts';
import type { WorkerEvent } from '#denoiser/worker.ts';
import type { CliContext, GlobalOptions } from './context.ts';

/** Opens the embedded cloud, hands it over and closes it whatever happens. */
export async function withCloud<Result>(
  context: CliContext,
  options: GlobalOptions & Pick<EmbeddedCloudOptions, 'stateUse'>,
  use: (cloud: EmbeddedCloud) => Promise<Result>,
): Promise<Result> {
  const cloud = await context.open({
    stateDirectory: resolve(context.workingDirectory, options.state),
    modelDirectory: resolve(context.workingDirectory, options.model),
    log: (event) => remark(context, event),
    ...(options.stateUse && { stateUse: options.stateUse }),
    ...(options.provider === undefined ? {} : { executionProvider: options.provider }),
    ...(options.batch === undefined ? {} : { batch: parseBatch(options.batch) }),
  });
  try {
    return await use(cloud);
  } finally {
    await cloud.close();
  }
}

/** @throws InvalidInputError unless it is a whole number, 1 to `MAX_BATCH`. */
export function parseBatch(text: string): number {
  const batch = fromDigits(text);
  if (isBatch(batch)) return batch;
  throw new InvalidInputError(
    'batch',
    `batch is ${JSON.stringify(text)}`,
    `give a whole number from 1 to ${MAX_BATCH}`,
  );
}

/** Says what a person should know of a run that goes well all the same. */
export function remark(
  { stderr }: CliContext,
  { event, message, part, entryId }: WorkerEvent,
): void {
  if (event === 'table_damaged' || event === 'batch_reduced')
    stderr.write(`flexcache: ${String(message)}\n`);
  if (event !== 'donor_dropped') return;
  const reused = part === 'whole' ? 'latent' : String(part);
  stderr.write(
    `flexcache: the ${reused} of ${String(entryId)} was not reused: ${String(message)}\n`,
  );
}
