import { join } from 'node:path';
import { stat } from 'node:fs/promises';
import { FlexCacheError } from '#core/errors.ts';
import type { Job, JobResult } from '#core/generation.ts';
import type { EmbeddedCloud } from '#local/embedded-cloud.ts';
import type { TextOutput } from './context.ts';
import { errorReport, isInvalidInput } from './error-line.ts';
import { LineKeys } from '#readers/line-key.ts';
import type { ReadLine, RequestLine } from '#readers/request-line.ts';
import { isCompleted, readOrRemake } from './stored-video.ts';
import { failureReport, videoReport } from './video-report.ts';
import type { FailureReport, VideoReport } from './video-report.ts';
import { writeFileAtomically } from './write-file-atomically.ts';

export type LineOutcome =
  | { line: number; report: VideoReport; job: Job & { result: JobResult }; alreadyThere: boolean }
  | { line: number; report: FailureReport; alreadyThere: false };

export interface BatchOptions {
  cloud: EmbeddedCloud;
  lines: AsyncIterable<ReadLine>;
  outDirectory: string;
  /** Remarks. */
  stderr: TextOutput;
  /** How many videos are in the making at once. */
  concurrency: number;
  /** Lines are begun until it is aborted; what is begun is finished. */
  stop: AbortSignal;
  /** Called once for each line, in the order in which they end. */
  onOutcome(outcome: LineOutcome): void;
}

/**
 * Makes the video of each line. A line that fails is an outcome like another; only when the cloud
 * or the disk breaks does the batch stop and throw.
 */
export async function runBatch(options: BatchOptions): Promise<void> {
  const { lines, concurrency, stop, onOutcome, cloud } = options;
  const keys = new LineKeys(cloud.modelRevision);
  const running = new Set<Promise<void>>();
  let broken: { error: unknown } | undefined;

  for await (const read of lines) {
    if (stop.aborted || broken) break;
    if ('error' in read) {
      onOutcome(rejected(read.line, read.text, read.error));
      continue;
    }
    const task = makeVideo(options, read, keys)
      .then(onOutcome)
      .catch((error: unknown) => {
        broken ??= { error };
      })
      .finally(() => running.delete(task));
    running.add(task);
    if (running.size >= concurrency) await Promise.race(running);
    if (stop.aborted || broken) break;
  }
  await Promise.all(running);
  if (broken) throw broken.error;
}

async function makeVideo(
  { cloud, outDirectory, stderr }: BatchOptions,
  { line, request }: RequestLine,
  keys: LineKeys,
): Promise<LineOutcome> {
  const { idempotencyKey, seed } = keys.next(request);
  const input = { seed, ...request, idempotencyKey };
  const submittedAt = Date.now();
  const fileOf = (job: Job): string => join(outDirectory, `${job.videoId}.mp4`);
  const wasThere = ({ completedAt }: Job): boolean =>
    completedAt !== undefined && Date.parse(completedAt) < submittedAt;
  const done = (job: Job & { result: JobResult }): LineOutcome => ({
    line,
    report: videoReport(job, job.result, fileOf(job)),
    job,
    alreadyThere: wasThere(job),
  });
  let job: Job;
  try {
    job = requireDisk(await cloud.generate(input));
  } catch (error) {
    if (!isInvalidInput(error)) throw error;
    return rejected(line, request.prompt, error);
  }
  if (!isCompleted(job)) return { line, report: failureReport(job), alreadyThere: false };
  if (wasThere(job) && (await hasSize(fileOf(job), job.result.videoBytes))) return done(job);

  const made = await readOrRemake(cloud, job, input, stderr);
  if (made.mp4 === null) {
    return { line, report: failureReport(requireDisk(made.job)), alreadyThere: false };
  }
  await writeFileAtomically(fileOf(made.job), made.mp4);
  return done({ ...made.job, result: made.result });
}

/** A disk that takes no more writes would fail every line that follows, after all its work. */
function requireDisk(job: Job): Job {
  const { code, message } = job.error ?? {};
  if (job.status === 'failed' && (code === 'disk_full' || code === 'permission_denied')) {
    throw new FlexCacheError(code, message!);
  }
  return job;
}

function rejected(line: number, prompt: string, error: unknown): LineOutcome {
  return {
    line,
    report: { id: null, status: 'failed', prompt, error: errorReport(error) },
    alreadyThere: false,
  };
}

async function hasSize(path: string, bytes: number): Promise<boolean> {
  const stats = await stat(path).catch(() => null);
  return stats?.size === bytes;
}
