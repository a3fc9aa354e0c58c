import { join } from 'node:path';
import { stat } from 'node:fs/promises';
import { FlexCacheError, type ErrorCode } from '#core/errors.ts';
import type { Job, JobResult } from '#core/generation.ts';
import { videoIdForKey } from '#core/requests/identity.ts';
import type { ReadableItem } from '#functions/shared/backfill-states.ts';
import { DEFAULT_TENANT } from '#local/default-tenant.ts';
import type { LineEnd } from '#local/embedded-backfills.ts';
import type { EmbeddedCloud } from '#local/embedded-cloud.ts';
import { STANDARD_DEFAULTS } from '#readers/line-key.ts';
import type { TextOutput } from './context.ts';
import { isInvalidInputCode, type ErrorReport } from './error-line.ts';
import type { RequestFile } from './open-requests.ts';
import { isCompleted, readOrRemake } from './stored-video.ts';
import { submitFile } from './submit-file.ts';
import { failureReport, rejection, videoReport } from './video-report.ts';
import type { FailureReport, VideoReport } from './video-report.ts';
import { writeOutput } from './output-file.ts';

export type LineOutcome =
  | { line: number; report: VideoReport; job: Job & { result: JobResult }; alreadyThere: boolean }
  | { line: number; report: FailureReport; alreadyThere: false };

export interface BatchOptions {
  cloud: EmbeddedCloud;
  file: RequestFile;
  outDirectory: string;
  /** Remarks. */
  stderr: TextOutput;
  /** How many videos are in the making at once. */
  concurrency: number;
  /** How far the lines may reuse what is stored; as far as the model allows unless given. */
  bounds?: { maxReuse?: number; minSimilarity?: number };
  /** Lines are begun until it is aborted; what is begun is finished. */
  stop: AbortSignal;
  /** Called once for each line, in the order in which they end. */
  onOutcome(outcome: LineOutcome): void;
}

/**
 * Makes the video of each line of a file, as a backfill. A line that fails is an outcome like
 * another; only when the cloud or the disk breaks does the batch stop and throw.
 *
 * @throws FlexCacheError also when the file as a whole cannot be read.
 */
export async function runBatch(options: BatchOptions): Promise<void> {
  const { cloud, file, concurrency, stop } = options;
  if (stop.aborted) return;
  const { backfillId } = await submitFile(cloud, file, concurrency, {
    ...STANDARD_DEFAULTS,
    ...options.bounds,
  });
  const batch = new Batch(options, backfillId);
  const stopListening = cloud.backfills.onLine(backfillId, (end) => batch.onLine(end));
  const drain = (): void => batch.drain();
  stop.addEventListener('abort', drain);
  try {
    await cloud.backfills.start(backfillId);
    if (stop.aborted) drain();
    const backfill = await batch.finished();
    if (backfill.status !== 'failed') return;
    const { code, message } = backfill.error!;
    throw new FlexCacheError(code as ErrorCode, message);
  } finally {
    stop.removeEventListener('abort', drain);
    stopListening();
  }
}

/** A disk that takes no more writes would fail every line that follows, after all its work. */
const DISK_CODES: readonly string[] = ['disk_full', 'permission_denied'];

class Batch {
  readonly #options: BatchOptions;
  readonly #backfillId: string;
  readonly #begunAt = Date.now();
  #broken: { error: unknown } | undefined;
  #isDraining = false;
  /** Lines are reported one after the other. */
  #reporting: Promise<void> = Promise.resolve();

  constructor(options: BatchOptions, backfillId: string) {
    this.#options = options;
    this.#backfillId = backfillId;
  }

  onLine(end: LineEnd): void {
    if (DISK_CODES.includes(end.error?.code ?? '')) this.#break(errorOf(end));
    this.#reporting = this.#reporting.then(async () => {
      if (this.#broken) return;
      try {
        const outcome = await this.#outcomeOf(end);
        if (outcome !== null) this.#options.onOutcome(outcome);
      } catch (error) {
        this.#break(error);
      }
    });
  }

  drain(): void {
    this.#isDraining = true;
    this.#options.cloud.backfills.drain(this.#backfillId).catch((error: unknown) => {
      this.#broken ??= { error };
    });
  }

  /** @throws what broke the batch. */
  async finished() {
    try {
      const backfill = await this.#options.cloud.backfills.finished(this.#backfillId);
      await this.#reporting;
      if (!this.#broken) return backfill;
    } catch (error) {
      this.#broken ??= { error };
    }
    throw this.#broken!.error;
  }

  #break(error: unknown): void {
    if (this.#broken) return;
    this.#broken = { error };
    this.drain();
  }

  /** Null for a line that never began, because the batch is ending. */
  async #outcomeOf(end: LineEnd): Promise<LineOutcome | null> {
    const { item, error } = end;
    if ('error' in item) return rejected(item.line, item.text, item.error);
    const { cloud } = this.#options;
    const job = await cloud.table.getJob(videoIdForKey(DEFAULT_TENANT, item.idempotencyKey));
    if (error === null) return this.#videoOf(item, requireCompleted(job, item));
    if (error.code === 'cancelled' && this.#isDraining && job?.status !== 'cancelled') return null;
    if (job?.status === 'failed' || job?.status === 'cancelled') {
      return { line: item.line, report: failureReport(job), alreadyThere: false };
    }
    if (isInvalidInputCode(error.code)) {
      const report = { ...error, field: error.field ?? null, fix: null };
      return rejected(item.line, item.prompt, report);
    }
    throw errorOf(end);
  }

  async #videoOf(
    { line, ...input }: ReadableItem,
    job: Job & { result: JobResult },
  ): Promise<LineOutcome> {
    const { cloud, outDirectory, stderr } = this.#options;
    const fileOf = ({ videoId }: Job): string => join(outDirectory, `${videoId}.mp4`);
    const done = (made: Job & { result: JobResult }): LineOutcome => ({
      line,
      report: videoReport(made, made.result, fileOf(made), cloud.manifest),
      job: made,
      alreadyThere: this.#wasThere(made),
    });
    if (this.#wasThere(job) && (await hasSize(fileOf(job), job.result.videoBytes))) {
      return done(job);
    }
    const made = await readOrRemake(cloud, job, input, stderr);
    if (made.mp4 === null) {
      const { job: failed } = made;
      if (DISK_CODES.includes(failed.error?.code ?? '')) {
        throw new FlexCacheError(failed.error!.code as ErrorCode, failed.error!.message);
      }
      return { line, report: failureReport(failed), alreadyThere: false };
    }
    await writeOutput(fileOf(made.job), made.mp4);
    return done({ ...made.job, result: made.result });
  }

  #wasThere({ completedAt }: Job): boolean {
    return completedAt !== undefined && Date.parse(completedAt) < this.#begunAt;
  }
}

function requireCompleted(job: Job | null, { line }: ReadableItem): Job & { result: JobResult } {
  if (job !== null && isCompleted(job)) return job;
  throw new FlexCacheError('internal', `line ${line} ended well, but its video is not there`);
}

function rejected(line: number, prompt: string, error: ErrorReport): LineOutcome {
  return { line, report: rejection(prompt, error), alreadyThere: false };
}

function errorOf({ error }: LineEnd): FlexCacheError {
  return new FlexCacheError(error!.code as ErrorCode, error!.message);
}

async function hasSize(path: string, bytes: number): Promise<boolean> {
  const stats = await stat(path).catch(() => null);
  return stats?.size === bytes;
}
