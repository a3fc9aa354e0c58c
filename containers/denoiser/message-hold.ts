import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type { Job, UsageRecord } from '#core/generation.ts';
import { TaskGoneError } from '#stores/errors.ts';
import type { ReceivedMessage, WorkQueue } from '#stores/queue.ts';
import type { Table } from '#stores/table.ts';
import type { TaskCallbacks } from '#stores/workflow.ts';
import type { DroppedDonor } from './donors.ts';
import type { CheckpointEvent, GenerationControl, StopReason } from './generation-control.ts';
import type { Machine } from './machine.ts';
import type { WorkerEvent, WorkerSettings } from './worker.ts';

/** The part of the table that a worker touches. */
export type JobTable = Pick<Table, 'getJob' | 'setJobProgress' | 'recordUsage'>;

interface HoldDependencies {
  queue: WorkQueue;
  table: JobTable;
  callbacks: TaskCallbacks;
  onAlive?: () => void;
}

/** What one message costs at the queue if it is never renewed. */
const SEND_RECEIVE_DELETE = 3;

/** Renewals within one visibility period: two may fail before the message is lost. */
const RENEWALS_PER_VISIBILITY = 3;

/**
 * Keeps one message ours while its video is made: renews its visibility and the task's heartbeat
 * from a timer, looks whether the job was cancelled, and writes the job's progress.
 */
export class MessageHold implements GenerationControl, AsyncDisposable {
  readonly #dependencies: HoldDependencies;
  readonly #received: ReceivedMessage;
  readonly #settings: WorkerSettings;
  readonly #log: (event: WorkerEvent) => void;
  readonly #shutdown: AbortSignal;
  #timer: NodeJS.Timeout | null = null;
  #renewal: Promise<void> = Promise.resolve();
  #reason: StopReason | null = null;
  #lastProgress = -Infinity;
  #startedAt: number | null = null;
  /** Of the workers before, whose checkpoint this one went on from. */
  #gpuSecondsBefore = 0;
  /** Of the job. */
  #attempt = 1;
  #tableReads = 0;
  #tableWrites = 0;
  #queueRequests = SEND_RECEIVE_DELETE;

  constructor(
    dependencies: HoldDependencies,
    received: ReceivedMessage,
    settings: WorkerSettings,
    log: (event: WorkerEvent) => void,
    shutdown: AbortSignal,
  ) {
    this.#dependencies = dependencies;
    this.#received = received;
    this.#settings = settings;
    this.#log = log;
    this.#shutdown = shutdown;
  }

  /**
   * Begins to renew.
   *
   * @throws TaskGoneError when the workflow does not wait; `cancelled` or `not_found` by the job.
   */
  async start(): Promise<void> {
    await this.#dependencies.callbacks.sendTaskHeartbeat(this.#received.message.taskToken);
    if (await this.shouldStop()) {
      throw new FlexCacheError('cancelled', 'the request was cancelled before it began');
    }
    this.#startedAt = performance.now();
    const period = (this.#settings.visibilitySeconds * 1000) / RENEWALS_PER_VISIBILITY;
    this.#timer = setInterval(() => {
      this.#renewal = this.#renewal.then(() => this.#renew());
    }, period);
  }

  /** Null while the generation may go on. */
  get stopReason(): StopReason | null {
    return this.#reason ?? (this.#shutdown.aborted ? 'shutdown' : null);
  }

  /** Requests to table and queue so far; a job is smaller than one unit of either kind. */
  get usage(): Pick<UsageRecord, 'tableReadUnits' | 'tableWriteUnits' | 'queueRequests'> {
    return {
      tableReadUnits: this.#tableReads,
      tableWriteUnits: this.#tableWrites,
      queueRequests: this.#queueRequests,
    };
  }

  /** Looks at the job each time: a step costs far more than a read. */
  async shouldStop(): Promise<boolean> {
    this.#dependencies.onAlive?.();
    if (this.#reason === null) await this.#readJob();
    return this.stopReason !== null;
  }

  /** A table that is down for a while does not end a generation: the next look tells. */
  async #readJob(): Promise<void> {
    const { videoId } = this.#received.message.request;
    this.#tableReads++;
    let job: Job | null;
    try {
      job = await this.#dependencies.table.getJob(videoId);
    } catch (error) {
      if (!(error instanceof FlexCacheError && error.transient)) throw error;
      this.#warn('job_read_failed', error);
      return;
    }
    if (job === null) {
      throw new FlexCacheError('not_found', `there is no job ${videoId}`, {
        fix: 'submit the request again',
      });
    }
    this.#attempt = job.attempt;
    if (job.cancelRequested || job.status === 'cancelled') this.#reason ??= 'cancelled';
  }

  /** Written at most every `progressMilliseconds`. A progress that cannot be written is not worth a video. */
  async onProgress(percent: number): Promise<void> {
    const now = performance.now();
    if (now - this.#lastProgress < this.#settings.progressMilliseconds) return;
    this.#lastProgress = now;
    const { videoId } = this.#received.message.request;
    try {
      this.#tableWrites++;
      await this.#dependencies.table.setJobProgress(videoId, percent);
    } catch (error) {
      this.#warn('progress_failed', error);
    }
  }

  /**
   * Enters the work on a video that will not be into the job's ledger: the machine was ours all the
   * same. What cannot be written is not worth leaving the workflow without its answer.
   */
  async recordLostWork(machine: Machine): Promise<void> {
    if (this.#startedAt === null) return;
    const ownSeconds = Math.round(performance.now() - this.#startedAt) / 1000;
    const gpuSeconds = this.#gpuSecondsBefore + ownSeconds;
    this.#tableWrites++;
    try {
      await this.#dependencies.table.recordUsage(this.#received.message.request.videoId, {
        step: 'generate',
        ...(this.#attempt > 1 && { attempt: this.#attempt }),
        ...machine,
        ...this.usage,
        gpuSeconds,
      });
    } catch (error) {
      this.#warn('usage_lost', error);
    }
  }

  onDonorDropped({ donor, error }: DroppedDonor): void {
    this.#warn('donor_dropped', error, { entryId: donor.entryId, part: donor.part });
  }

  onCheckpoint(outcome: CheckpointEvent): void {
    const { videoId } = this.#received.message.request;
    if (outcome.event === 'resumed') this.#gpuSecondsBefore = outcome.gpuSeconds;
    if ('error' in outcome) this.#warn(outcome.event, outcome.error);
    else this.#log({ level: 'info', videoId, ...outcome });
  }

  async #renew(): Promise<void> {
    const { queue, callbacks } = this.#dependencies;
    const { receipt, message } = this.#received;
    this.#queueRequests++;
    try {
      await queue.extend(receipt, this.#settings.visibilitySeconds);
      await callbacks.sendTaskHeartbeat(message.taskToken);
    } catch (error) {
      if (error instanceof ConditionFailedError) this.#reason ??= 'taken';
      else if (error instanceof TaskGoneError) this.#reason ??= 'gone';
      else this.#warn('renewal_failed', error);
    }
  }

  #warn(event: string, error: unknown, details: Record<string, unknown> = {}): void {
    const message = error instanceof Error ? error.message : String(error);
    const { videoId } = this.#received.message.request;
    this.#log({ level: 'warn', event, videoId, message, ...details });
  }

  /** Ends the renewals; none is in flight afterwards, so none can revive a message given back. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#renewal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
