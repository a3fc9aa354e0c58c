import { resolve } from 'node:path';
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
  });
  try {
    return await use(cloud);
  } finally {
    await cloud.close();
  }
}

/** Says what a person should know of a run that goes well all the same. */
export function remark(
  { stderr }: CliContext,
  { event, message, part, entryId }: WorkerEvent,
): void {
  if (event === 'table_damaged') stderr.write(`flexcache: ${String(message)}\n`);
  if (event !== 'donor_dropped') return;
  const reused = part === 'whole' ? 'latent' : String(part);
  stderr.write(
    `flexcache: the ${reused} of ${String(entryId)} was not reused: ${String(message)}\n`,
  );
}
