import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import { validatePrompt } from '#core/prompt.ts';
import { MAX_SEED, validateCacheMode, validateSeed, validateSteps } from '#core/request.ts';
import type { Variety } from '#core/variety.ts';
import type { Progress } from '#local/embedded-cloud.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { errorLine, errorReport } from '../error-line.ts';
import { progressBar } from '../progress-bar.ts';
import { fromDigits } from '#readers/request-line.ts';
import { requestChoice, type ChoiceOptions } from '../request-choice.ts';
import { reuseBounds, type ReuseOptions } from '../reuse-bounds.ts';
import { isCompleted, readOrRemake } from '../stored-video.ts';
import { failureReport, rejection, videoReport } from '../video-report.ts';
import type { FailureReport, VideoReport } from '../video-report.ts';
import { withCloud } from '../with-cloud.ts';
import { checkFolderWritable, checkWritable, writeOutput } from '../output-file.ts';

export interface GenerateOptions extends GlobalOptions, ReuseOptions, ChoiceOptions {
  seed?: string;
  cache?: string;
  steps?: string;
  out?: string;
  json?: boolean;
}

/** Makes one video and writes it to a file. */
export async function generate(
  context: CliContext,
  prompt: string,
  options: GenerateOptions,
): Promise<ExitCode> {
  try {
    return await makeVideo(context, prompt, options);
  } catch (error) {
    if (options.json) {
      print(context, rejection(prompt, errorReport(error)));
    }
    throw error;
  }
}

async function makeVideo(
  context: CliContext,
  prompt: string,
  options: GenerateOptions,
): Promise<ExitCode> {
  const input = {
    prompt: validatePrompt(prompt),
    seed:
      options.seed === undefined ? randomInt(MAX_SEED + 1) : validateSeed(fromDigits(options.seed)),
    ...(options.cache === undefined ? {} : { cache: validateCacheMode(options.cache) }),
    ...(options.steps === undefined ? {} : { steps: validateSteps(fromDigits(options.steps)) }),
    ...reuseBounds(options),
    ...requestChoice(options),
  };
  const { workingDirectory } = context;
  if (options.out === undefined) await checkFolderWritable(workingDirectory);
  else await checkWritable(resolve(workingDirectory, options.out));

  return withCloud(context, options, async (cloud) => {
    const bar = progressBar(context, '{stage} [{bar}] {percentage}%');
    let videoId: string | undefined;
    let interrupted = false;
    const cancel = (): void => {
      interrupted = true;
      if (videoId !== undefined) void cloud.cancel(videoId);
    };
    const stopListening = context.onInterrupt(cancel);
    const onProgress = (progress: Progress): void => {
      const isFirst = videoId === undefined;
      videoId = progress.videoId;
      if (isFirst && interrupted) cancel();
      bar.update(progress.percent, 100, { stage: progress.stage.padEnd('generate'.length) });
    };
    try {
      const first = await cloud.generate(input, onProgress);
      const made = isCompleted(first)
        ? await readOrRemake(cloud, first, input, context.stderr, onProgress)
        : { job: first, mp4: null };
      bar.stop();
      if (made.mp4 === null) {
        const report = failureReport(made.job);
        context.stderr.write(errorLine(report.error));
        if (options.json) print(context, report);
        return interrupted ? EXIT.interrupted : EXIT.failed;
      }
      const { job, result, mp4 } = made;
      for (const { message } of job.warnings ?? []) context.stderr.write(`flexcache: ${message}\n`);
      const path = resolve(context.workingDirectory, options.out ?? `flexcache-${job.videoId}.mp4`);
      await writeOutput(path, mp4);
      const report = videoReport(job, result, path, cloud.manifest);
      if (options.json) print(context, report);
      else context.stdout.write(describeVideo(report));
      return EXIT.success;
    } finally {
      bar.stop();
      stopListening();
    }
  });
}

const VARIETY_WORDS: Readonly<Record<Variety, string>> = {
  none: 'none: this is a stored video; with another --seed, --max-reuse 0 makes one of its own',
  low: 'low: other seeds give nearly the same video; with --max-reuse 0 they give others',
  medium: 'medium: other seeds keep most of the donors',
  high: 'high: other seeds give other videos',
};

function print(context: CliContext, report: VideoReport | FailureReport): void {
  context.stdout.write(`${JSON.stringify(report)}\n`);
}

function describeVideo({ id, video, seed, cache, steps, seconds, bytes }: VideoReport): string {
  const donors = cache.donors.map(
    (donor) =>
      `\n  ${donor.part.padEnd('background'.length)} of ${donor.id}, similarity ${donor.similarity.toFixed(3)}`,
  );
  return [
    `video   ${video}`,
    `id      ${id}`,
    `seed    ${seed}`,
    `hit     ${cache.hit}${donors.join('')}`,
    ...(cache.parts ? [] : ['reuse   whole videos alone: the model package has no segmenter']),
    `start   t0 ${cache.t0.toFixed(2)}, ${steps.run} of ${steps.full} network evaluations`,
    `variety ${VARIETY_WORDS[cache.variety]}`,
    `time    ${seconds.total.toFixed(2)} s, of it ${seconds.generate.toFixed(2)} s generating`,
    `stored  ${bytes.latent} bytes of latent, ${bytes.video} bytes of video`,
    '',
  ].join('\n');
}
