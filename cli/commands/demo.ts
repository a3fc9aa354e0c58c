import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvalidInputError } from '#core/errors.ts';
import type { EmbeddedCloud } from '#local/embedded-cloud.ts';
import { collect } from '../collect.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { demoPage } from '../demo-page.ts';
import type { DemoVideo } from '../demo-page.ts';
import { progressBar } from '../progress-bar.ts';
import { openRequests } from '../open-requests.ts';
import { runBatch } from '../run-batch.ts';
import type { LineOutcome } from '../run-batch.ts';
import { BatchTotals, linesById, summaryTable } from '../summary-table.ts';
import { withCloud } from '../with-cloud.ts';
import { checkWritable, writeOutput } from '../output-file.ts';
import { reportFailure } from './backfill.ts';

export interface DemoOptions extends GlobalOptions {
  out: string;
  /** Another list than the shipped one. */
  prompts?: string;
  fresh?: boolean;
}

const PROMPTS = join(import.meta.dirname, '..', 'demo-prompts.jsonl');

/** Marks a folder as ours to empty; says whether its last run came to its end. */
const MARKER = 'demo.json';

/**
 * Backfills the shipped prompts into an empty cache, one after the other so that each may start from
 * all before it, and writes one page that shows them. A run that was interrupted goes on where it
 * stopped, unless `fresh` is set.
 */
export async function demo(context: CliContext, options: DemoOptions): Promise<ExitCode> {
  const folder = resolve(context.workingDirectory, options.out);
  const state = join(folder, 'state');
  const videos = join(folder, 'videos');
  const page = join(folder, 'index.html');
  const prompts =
    options.prompts === undefined ? PROMPTS : resolve(context.workingDirectory, options.prompts);
  const requests = await openRequests(prompts);
  await checkWritable(page);
  await prepareFolder(folder, state, videos, options.fresh ?? false);

  const outcomes: LineOutcome[] = [];
  const stop = new AbortController();
  const stopListening = context.onInterrupt(() => stop.abort());
  const lines = await collect(requests.lines());
  context.stderr.write(`flexcache: making ${lines.length} videos in ${folder}\n`);
  try {
    return await withCloud(context, { ...options, state }, async (cloud) => {
      const bar = progressBar(context, 'demo [{bar}] {value}/{total} videos, {prompt}');
      const showNext = (): void => {
        const next = lines[outcomes.length];
        const prompt = next && 'request' in next ? next.request.prompt : '';
        bar.update(outcomes.length, lines.length, { prompt });
      };
      try {
        showNext();
        await runBatch({
          cloud,
          file: requests,
          outDirectory: videos,
          stderr: context.stderr,
          concurrency: 1,
          stop: stop.signal,
          onOutcome: (outcome) => {
            outcomes.push(outcome);
            reportFailure(context, outcome, bar.stop);
            showNext();
          },
        });
      } finally {
        bar.stop();
      }
      if (stop.signal.aborted) {
        context.stderr.write(
          `flexcache: cancelled: stopped after ${outcomes.length} of ${lines.length} videos: run the same command again to go on\n`,
        );
        return EXIT.interrupted;
      }
      await writeOutput(page, demoPage(await collectVideos(cloud, outcomes)));
      await writeMarker(folder, true);

      const totals = new BatchTotals();
      for (const outcome of outcomes) totals.add(outcome);
      context.stdout.write(`${summaryTable(outcomes)}\n${totals.toString()}\n`);
      context.stdout.write(`page    ${page}\n        ${pathToFileURL(page).href}\n`);
      context.stdout.write(`videos  ${videos}\n`);
      return totals.failed === 0 ? EXIT.success : EXIT.failed;
    });
  } finally {
    stopListening();
  }
}

async function prepareFolder(
  folder: string,
  state: string,
  videos: string,
  fresh: boolean,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const finished = await readMarker(folder);
  if (finished === undefined) {
    for (const path of [state, videos]) await refuseForeign(path);
  } else if (finished || fresh) {
    await rm(state, { recursive: true, force: true });
    await rm(videos, { recursive: true, force: true });
  }
  await writeMarker(folder, false);
}

/** A folder that the demo did not make is never emptied. */
async function refuseForeign(path: string): Promise<void> {
  if ((await stat(path).catch(() => null)) === null) return;
  throw new InvalidInputError(
    'out',
    `${path} is there already and was not made by the demo`,
    'choose another folder with --out',
  );
}

/** Undefined where no demo ran. A marker that cannot be read counts as finished: it is made anew. */
async function readMarker(folder: string): Promise<boolean | undefined> {
  const text = await readFile(join(folder, MARKER), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return (JSON.parse(text) as { finished?: boolean }).finished !== false;
  } catch {
    return true;
  }
}

async function writeMarker(folder: string, finished: boolean): Promise<void> {
  await writeOutput(join(folder, MARKER), `${JSON.stringify({ finished })}\n`);
}

async function collectVideos(
  cloud: EmbeddedCloud,
  outcomes: readonly LineOutcome[],
): Promise<DemoVideo[]> {
  const lines = linesById(outcomes);
  const videos: DemoVideo[] = [];
  for (const outcome of outcomes) {
    if (!('job' in outcome)) continue;
    const { report, job, line } = outcome;
    const donors = await Promise.all(
      report.cache.donors.map(async ({ id, part, similarity }) => {
        const donorJob = await cloud.table.getJob(id);
        const keys = donorJob?.result;
        return {
          part,
          similarity,
          line: lines.get(id) ?? null,
          prompt: donorJob?.prompt ?? id,
          media: keys
            ? {
                poster: await cloud.objects.get(keys.posterKey),
                animation: await cloud.objects.get(keys.animationKey),
              }
            : null,
        };
      }),
    );
    videos.push({
      line,
      report,
      donors,
      mp4: await cloud.objects.get(job.result.videoKey),
      poster: await cloud.objects.get(job.result.posterKey),
    });
  }
  return videos;
}
