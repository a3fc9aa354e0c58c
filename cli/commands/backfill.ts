import { resolve } from 'node:path';
import { isVideoCount } from '#core/requests/capabilities.ts';
import { InvalidInputError } from '#core/errors.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { errorLine } from '../error-line.ts';
import { progressBar } from '../progress-bar.ts';
import { openRequests } from '../open-requests.ts';
import { reuseBounds, type ReuseOptions } from '../reuse-bounds.ts';
import { fromDigits, type ReadLine } from '#readers/request-line.ts';
import { runBatch } from '../run-batch.ts';
import type { LineOutcome } from '../run-batch.ts';
import { BatchTotals, SHOWN_OUTCOMES, summaryTable } from '../summary-table.ts';
import { withCloud } from '../with-cloud.ts';
import { checkFolderWritable } from '../output-file.ts';

export interface BackfillOptions extends GlobalOptions, ReuseOptions {
  out: string;
  concurrency: string;
  json?: boolean;
}

const MAX_CONCURRENCY = 64;

/** Makes a video of every line of a file. Running it again makes only what is missing. */
export async function backfill(
  context: CliContext,
  file: string,
  options: BackfillOptions,
): Promise<ExitCode> {
  const concurrency = parseConcurrency(options.concurrency);
  const bounds = reuseBounds(options);
  const requests = await openRequests(resolve(context.workingDirectory, file));
  const outDirectory = resolve(context.workingDirectory, options.out);
  await checkFolderWritable(outDirectory);
  const total = context.progress !== null ? await countVideos(requests.lines()) : 0;

  return withCloud(context, options, async (cloud) => {
    const bar = progressBar(context, '[{bar}] {value}/{total} videos, {failed} failed');
    const totals = new BatchTotals();
    const shown: LineOutcome[] = [];
    let ended = 0;
    const stop = new AbortController();
    const stopListening = context.onInterrupt(() => {
      if (stop.signal.aborted) return;
      stop.abort();
      context.stderr.write('flexcache: finishing the videos in progress, then stopping\n');
    });
    try {
      await runBatch({
        cloud,
        file: requests,
        outDirectory,
        stderr: context.stderr,
        concurrency,
        bounds,
        stop: stop.signal,
        onOutcome: (outcome) => {
          ended += 1;
          totals.add(outcome);
          if (shown.length < SHOWN_OUTCOMES) shown.push(outcome);
          reportFailure(context, outcome, bar.stop);
          if (options.json) context.stdout.write(`${outcomeJson(outcome)}\n`);
          bar.update(ended, total, { failed: String(totals.failed) });
        },
      });
    } finally {
      bar.stop();
      stopListening();
    }
    if (!options.json) {
      context.stdout.write(`${summaryTable(shown)}\n`);
      if (ended > shown.length) {
        context.stdout.write(`and ${ended - shown.length} lines more, see --json\n\n`);
      }
      context.stdout.write(totals.toString());
    }
    if (stop.signal.aborted) {
      context.stderr.write(
        `flexcache: cancelled: stopped after ${ended} lines: run the same command again to go on\n`,
      );
      return EXIT.interrupted;
    }
    return totals.failed === 0 ? EXIT.success : EXIT.failed;
  });
}

/** Says on stderr which line failed; `clear` takes a progress bar out of the way. */
export function reportFailure(
  context: CliContext,
  { line, report }: LineOutcome,
  clear: () => void,
): void {
  if (report.status === 'completed') return;
  clear();
  context.stderr.write(errorLine(report.error, `line ${line}`));
}

function outcomeJson({ line, report, alreadyThere }: LineOutcome): string {
  return JSON.stringify({ line, ...report, alreadyThere });
}

function parseConcurrency(text: string): number {
  const concurrency = fromDigits(text);
  if (typeof concurrency !== 'number' || concurrency < 1 || concurrency > MAX_CONCURRENCY) {
    throw new InvalidInputError(
      'concurrency',
      `concurrency is ${JSON.stringify(text)}`,
      `give a whole number from 1 to ${MAX_CONCURRENCY}`,
    );
  }
  return concurrency;
}

/** A line that is refused ends once, as one that asks for one video. */
async function countVideos(lines: AsyncIterable<ReadLine>): Promise<number> {
  let total = 0;
  for await (const line of lines) {
    const { n = 1 } = 'error' in line ? {} : line.request;
    total += isVideoCount(n) ? n : 1;
  }
  return total;
}
