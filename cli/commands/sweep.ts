import type { SweepSummary } from '#retention/sweep/sweep.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { line, size } from '../retention/amounts.ts';
import { withRetention } from '../retention/with-retention.ts';

export interface SweepOptions extends GlobalOptions {
  dryRun?: boolean;
  json?: boolean;
}

/** Deletes orphaned objects, vectors and records. */
export async function sweep(context: CliContext, options: SweepOptions): Promise<ExitCode> {
  const { dryRun = false, json = false } = options;
  return withRetention(context, options, async (retention, signal) => {
    const summary = await retention.sweep({ isDryRun: dryRun, signal });
    const text = json ? JSON.stringify(summary) : describeSweep(summary).join('\n');
    context.stdout.write(`${text}\n`);
    return signal.aborted ? EXIT.interrupted : EXIT.success;
  });
}

function describeSweep(summary: SweepSummary): string[] {
  const { isDryRun, isComplete, entriesChecked, objectsChecked } = summary;
  const found: [amount: number, text: string][] = [
    [
      summary.orphanedObjects,
      `objects that nothing names any more, ${size(summary.orphanedBytes)}, ${isDryRun ? 'would be deleted' : 'deleted'}`,
    ],
    [
      summary.orphanedVectors,
      `entries' vectors without a record, ${isDryRun ? 'would be deleted' : 'deleted'}`,
    ],
    [
      summary.restoredVectors,
      `entries whose vectors were missing, ${isDryRun ? 'would be put again' : 'put again'}`,
    ],
    [
      summary.entriesWithoutLatent,
      `entries whose latent is gone, ${isDryRun ? 'would leave' : 'leave'} the cache`,
    ],
    [
      summary.entriesOfDeletedVideos,
      `entries of deleted videos, ${isDryRun ? 'would leave' : 'leave'} the cache`,
    ],
  ];
  const lines = found.filter(([amount]) => amount > 0);
  return [
    line('compared', `${entriesChecked} entries and ${objectsChecked} objects`),
    ...(lines.length === 0 ? [line('found', 'nothing that does not belong together')] : []),
    ...lines.map(([amount, text]) => line('found', `${amount} ${text}`)),
    ...(isComplete ? [] : [line('stopped', 'before the end: run it again')]),
  ];
}
