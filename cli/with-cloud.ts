import { resolve } from 'node:path';
import type { EmbeddedCloud } from '#local/embedded-cloud.ts';
import type { CliContext, GlobalOptions } from './context.ts';

/** Opens the embedded cloud, hands it over and closes it whatever happens. */
export async function withCloud<Result>(
  context: CliContext,
  options: GlobalOptions,
  use: (cloud: EmbeddedCloud) => Promise<Result>,
): Promise<Result> {
  const cloud = await context.open({
    stateDirectory: resolve(context.workingDirectory, options.state),
    modelDirectory: resolve(context.workingDirectory, options.model),
    ...(options.provider === undefined ? {} : { executionProvider: options.provider }),
  });
  try {
    return await use(cloud);
  } finally {
    await cloud.close();
  }
}
