import { resolve } from 'node:path';
import type { OpenRetention } from '#local/open-retention.ts';
import { loadManifest } from '#models/manifest.ts';
import type { CliContext, GlobalOptions } from '../context.ts';

/** Opens the cache of the state folder, or connects to the process that holds it, and always closes it. */
export async function withRetention<Result>(
  { workingDirectory, onInterrupt }: CliContext,
  { state, model, dryRun }: GlobalOptions & { dryRun?: boolean },
  use: (retention: OpenRetention, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const { manifest } = await loadManifest(resolve(workingDirectory, model), { files: [] });
  // Loaded lazily, because the table's server is large.
  const { openRetention } = await import('#local/open-retention.ts');
  const interrupt = new AbortController();
  const stopListening = onInterrupt(() => interrupt.abort());
  try {
    await using retention = await openRetention({
      stateDirectory: resolve(workingDirectory, state),
      dimensions: manifest.embedding.dimensions,
      use: dryRun ? 'read' : 'change',
    });
    return await use(retention, interrupt.signal);
  } finally {
    stopListening();
  }
}
