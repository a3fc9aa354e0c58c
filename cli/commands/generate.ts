import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, parse, resolve } from 'node:path';
import { InvalidInputError } from '#core/errors.ts';
import { seedOfVideo, videosOf } from '#core/requests/capabilities.ts';
import { imageOfFile } from '#core/requests/first-image.ts';
import { validatePrompt } from '#core/requests/prompt.ts';
import {
  MAX_SEED,
  validateCacheMode,
  validateSeed,
  validateSteps,
} from '#core/requests/request.ts';
import type { Variety } from '#core/planning/variety.ts';
import type { GenerateInput, Progress } from '#local/embedded-cloud.ts';
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
  n: string;
  cache?: string;
  steps?: string;
  image?: string;
  out?: string;
  json?: boolean;
}

/** Makes the videos of a prompt and writes each to a file. */
export async function generate(
  context: CliContext,
  prompt: string,
  options: GenerateOptions,
): Promise<ExitCode> {
  try {
    return await makeVideos(context, prompt, options);
  } catch (error) {
    if (options.json) {
      print(context, rejection(prompt, errorReport(error)));
    }
    throw error;
  }
}

/** One of the videos in the making. */
interface Making {
  input: GenerateInput;
  /** Where it is to be written; null for a name of its own. */
  path: string | null;
  videoId?: string;
  /** 0..100 */
  percent: number;
}

async function makeVideos(
  context: CliContext,
  prompt: string,
  options: GenerateOptions,
): Promise<ExitCode> {
  const count = videosOf({ n: fromDigits(options.n) });
  const seed =
    options.seed === undefined ? randomInt(MAX_SEED + 1) : validateSeed(fromDigits(options.seed));
  const input = {
    ...(options.image !== undefined && { imageFile: await readImage(context, options.image) }),
    prompt: validatePrompt(prompt),
    ...(options.cache === undefined ? {} : { cache: validateCacheMode(options.cache) }),
    ...(options.steps === undefined ? {} : { steps: validateSteps(fromDigits(options.steps)) }),
    ...reuseBounds(options),
    ...requestChoice(options),
  };
  const { workingDirectory } = context;
  const making = Array.from({ length: count }, (_, place): Making => {
    const out = options.out && resolve(workingDirectory, options.out);
    return {
      input: { ...input, seed: seedOfVideo(seed, place) },
      path: out ? (count === 1 ? out : numbered(out, place + 1)) : null,
      percent: 0,
    };
  });
  if (options.out === undefined) await checkFolderWritable(workingDirectory);
  for (const { path } of making) if (path !== null) await checkWritable(path);

  return withCloud(context, options, async (cloud) => {
    const bar = progressBar(context, '{stage} [{bar}] {percentage}%');
    let interrupted = false;
    /** Warnings of the prompt, which the videos share. */
    const said = new Set<string>();
    const cancel = ({ videoId }: Making): void => {
      if (videoId !== undefined) void cloud.cancel(videoId);
    };
    const stopListening = context.onInterrupt(() => {
      interrupted = true;
      making.forEach(cancel);
    });
    const make = async (one: Making): Promise<boolean> => {
      const onProgress = ({ videoId, stage, percent }: Progress): void => {
        const isFirst = one.videoId === undefined;
        one.videoId = videoId;
        one.percent = percent;
        if (isFirst && interrupted) cancel(one);
        const value = making.reduce((sum, other) => sum + other.percent, 0) / count;
        bar.update(value, 100, { stage: stage.padEnd('generate'.length) });
      };
      const first = await cloud.generate(one.input, onProgress);
      const made = isCompleted(first)
        ? await readOrRemake(cloud, first, one.input, context.stderr, onProgress)
        : { job: first, mp4: null };
      bar.stop();
      if (made.mp4 === null) {
        const report = failureReport(made.job);
        context.stderr.write(errorLine(report.error));
        if (options.json) print(context, report);
        return false;
      }
      const { job, result, mp4 } = made;
      one.percent = 100;
      for (const { message } of job.warnings ?? []) {
        if (said.has(message)) continue;
        said.add(message);
        context.stderr.write(`flexcache: ${message}\n`);
      }
      const path = one.path ?? resolve(workingDirectory, `flexcache-${job.videoId}.mp4`);
      await writeOutput(path, mp4);
      const report = videoReport(job, result, path, cloud.manifest);
      if (options.json) print(context, report);
      else context.stdout.write(describeVideo(report));
      return true;
    };
    try {
      // Looked up before the first of them is stored, they do not start from each other.
      const ends = await Promise.allSettled(making.map(make));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      if (ends.every((end) => end.status === 'fulfilled' && end.value)) return EXIT.success;
      return interrupted ? EXIT.interrupted : EXIT.failed;
    } finally {
      bar.stop();
      stopListening();
    }
  });
}

/** `clip-2.mp4` of `clip.mp4`. */
function numbered(path: string, number: number): string {
  const { dir, name, ext } = parse(path);
  return join(dir, `${name}-${number}${ext}`);
}

/** @throws InvalidInputError `image` */
async function readImage({ workingDirectory }: CliContext, path: string): Promise<Uint8Array> {
  let file: Uint8Array;
  try {
    file = await readFile(resolve(workingDirectory, path));
  } catch (error) {
    throw new InvalidInputError(
      'image',
      `the file ${path} cannot be read: ${(error as Error).message}`,
      'give the path of a PNG, JPEG or WebP file',
    );
  }
  // Before the models are opened, which takes a while.
  imageOfFile(file);
  return file;
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
