import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type { Job, UsageRecord } from '#core/generation.ts';
import { TaskGoneError } from '#ports/errors.ts';
import type { ReceivedMessage, WorkQueue } from '#ports/queue.ts';
import type { Table } from '#ports/table.ts';
import type { TaskCallbacks } from '#ports/workflow.ts';
import { newRunId } from '#core/run-id.ts';
import type { UsageMeter } from '#ports/usage-meter.ts';
import type { DenoiseWork } from './denoise-clock.ts';
import type { DroppedDonor } from './donors.ts';
import type { CheckpointEvent, GenerationControl, StopReason } from './generation-control.ts';
import type { UnworkedTime } from './machine-time.ts';
import type { Machine } from './machine.ts';
import type { SharedTime } from './shared-time.ts';
import type { WorkerEvent, WorkerSettings } from './worker.ts';

/** The part of the table that a worker touches. */
export type JobTable = Pick<Table, 'getJob' | 'setJobProgress' | 'recordUsage' | 'leaveQueue'>;

interface HoldDependencies {
  queue: WorkQueue;
  table: JobTable;
  callbacks: TaskCallbacks;
  onAlive?: () => void;
}

/** What a hold enters into the ledger of its video. */
export interface HoldLedger {
  machine: Machine;
  /** What the machine was paid for before, and no video has taken. */
  untaken: UnworkedTime;
  /** Counts what the stores are asked for on behalf of this message. */
  meter: UsageMeter;
  /** Of the machine, shared with the messages beside this one. */
  time: Pick<SharedTime, 'now'>;
  /** By `time`, when the message was there. */
  receivedAt: number;
}

/** A message is deleted when its record is written; one that is given back is sent anew before. */
const LAST_QUEUE_REQUESTS = { deleted: 1, givenBack: 2 };

/** Renewals within one visibility period: two may fail before the message is lost. */
export const RENEWALS_PER_VISIBILITY = 3;

/**
 * Keeps one message ours while its video is made: renews its visibility, and asks whether the
 * task is still waited for, from a timer, looks whether the job was cancelled, and writes the job's progress, and with it what
 * the machine has been used for so far. A machine that is taken away without a word has left that.
 */
export class MessageHold implements GenerationControl, AsyncDisposable {
  readonly run = newRunId();
  readonly #dependencies: HoldDependencies;
  readonly #received: ReceivedMessage;
  readonly #settings: WorkerSettings;
  readonly #log: (event: WorkerEvent) => void;
  readonly #shutdown: AbortSignal;
  readonly #ledger: HoldLedger;
  readonly #startedAt = Date.now();
  #timer: NodeJS.Timeout | null = null;
  #renewal: Promise<void> = Promise.resolve();
  #reason: StopReason | null = null;
  #lastProgress = -Infinity;
  /** Of the job, as it was when the work began; null before. */
  #attempt: number | null = null;
  /** Of the workers before, whose checkpoint this one went on from. */
  #continues: readonly string[] = [];
  #work: DenoiseWork | null = null;
  #measuredUntil = 0;
  #enteredUntil: number | null = null;

  constructor(
    dependencies: HoldDependencies,
    received: ReceivedMessage,
    settings: WorkerSettings,
    log: (event: WorkerEvent) => void,
    shutdown: AbortSignal,
    ledger: HoldLedger,
  ) {
    this.#dependencies = dependencies;
    this.#received = received;
    this.#settings = settings;
    this.#log = log;
    this.#shutdown = shutdown;
    this.#ledger = ledger;
  }

  /**
   * Begins to renew.
   *
   * @throws TaskGoneError when the workflow does not wait; `cancelled` or `not_found` by the job.
   */
  async start(): Promise<void> {
    await this.#leaveQueue();
    await this.#dependencies.callbacks.sendTaskHeartbeat(this.#received.message.taskToken);
    this.#dependencies.onAlive?.();
    const job = await this.#readJob();
    if (this.stopReason !== null) {
      throw new FlexCacheError('cancelled', 'the request was cancelled before it began');
    }
    const period = (this.#settings.visibilitySeconds * 1000) / RENEWALS_PER_VISIBILITY;
    this.#timer = setInterval(() => {
      this.#renewal = this.#renewal.then(() => this.#renew());
    }, period);
    await this.#writeProgress(job?.progress ?? 0);
  }

  /** Where the job stood in the queue is told to people; no video depends on it. */
  async #leaveQueue(): Promise<void> {
    const { videoId, pool } = this.#received.message.request;
    try {
      await this.#dependencies.table.leaveQueue(pool, videoId);
    } catch (error) {
      this.#warn('place_not_recorded', error);
    }
  }

  now(): number {
    return this.#ledger.time.now();
  }

  /** Null while the generation may go on. */
  get stopReason(): StopReason | null {
    return this.#reason ?? (this.#shutdown.aborted ? 'shutdown' : null);
  }

  /** `performance.now()` up to which this machine's time is in the ledger, or on its way there with an answer. */
  get enteredUntil(): number | null {
    return this.#enteredUntil;
  }

  /** What the machine has been used for so far. */
  #usage(work: DenoiseWork | null = this.#work): UsageRecord & { gpuSeconds: number } {
    const { machine, untaken, meter, receivedAt } = this.#ledger;
    this.#measuredUntil = performance.now();
    return {
      step: 'generate',
      run: this.run,
      startedAt: this.#startedAt,
      ...((this.#attempt ?? 1) > 1 && { attempt: this.#attempt! }),
      ...(this.#continues.length > 0 && { continues: [...this.#continues] }),
      ...machine,
      ...untaken,
      gpuSeconds: Math.round(this.now() - receivedAt) / 1000,
      ...work,
      ...meter.usage,
    };
  }

  /** Looks at the job each time: a step costs far more than a read. */
  async shouldStop(): Promise<boolean> {
    this.#dependencies.onAlive?.();
    if (this.#reason === null) await this.#readJob();
    return this.stopReason !== null;
  }

  /** A table that is down for a while does not end a generation: the next look tells. */
  async #readJob(): Promise<Job | null> {
    const { videoId } = this.#received.message.request;
    let job: Job | null;
    try {
      job = await this.#dependencies.table.getJob(videoId);
    } catch (error) {
      if (!(error instanceof FlexCacheError && error.transient)) throw error;
      this.#warn('job_read_failed', error);
      return null;
    }
    if (job === null) {
      throw new FlexCacheError('not_found', `there is no job ${videoId}`, {
        fix: 'submit the request again',
      });
    }
    // Whatever becomes of the job: this work belongs to the attempt that it was begun for.
    this.#attempt ??= job.attempt;
    if (job.cancelRequested || job.status === 'cancelled') this.#reason ??= 'cancelled';
    return job;
  }

  async onProgress(percent: number, work: DenoiseWork): Promise<void> {
    this.#work = work;
    await this.#writeProgress(percent);
  }

  /** Written at most every `progressMilliseconds`. A progress that cannot be written is not worth a video. */
  async #writeProgress(percent: number): Promise<void> {
    const now = performance.now();
    if (now - this.#lastProgress < this.#settings.progressMilliseconds) return;
    this.#lastProgress = now;
    const { videoId } = this.#received.message.request;
    try {
      const usage = this.#attempt === null ? undefined : this.#usage();
      await this.#dependencies.table.setJobProgress(videoId, percent, usage);
      if (usage !== undefined) this.#enteredUntil = this.#measuredUntil;
    } catch (error) {
      this.#warn('progress_failed', error);
    }
  }

  /** What goes into the ledger with the answer of the workflow: whoever takes the answer enters it. */
  finalUsage(work: DenoiseWork | null = this.#work): UsageRecord & { gpuSeconds: number } {
    const usage = this.#usage(work);
    this.#enteredUntil = this.#measuredUntil;
    const { deleted, givenBack } = LAST_QUEUE_REQUESTS;
    const last = this.stopReason === 'shutdown' ? givenBack : deleted;
    return { ...usage, queueRequests: (usage.queueRequests ?? 0) + last };
  }

  /**
   * Enters the work on a video that will not be, or that another worker goes on with: the machine was
   * ours all the same. What cannot be written is not worth leaving the workflow without its answer.
   */
  async enterWork(): Promise<void> {
    if (this.#attempt === null) return;
    const { videoId } = this.#received.message.request;
    const before = this.#enteredUntil;
    try {
      await this.#dependencies.table.recordUsage(videoId, this.finalUsage());
    } catch (error) {
      this.#enteredUntil = before;
      this.#warn('usage_not_recorded', error);
    }
  }

  onDonorDropped({ donor, error }: DroppedDonor): void {
    this.#warn('donor_dropped', error, { entryId: donor.entryId, part: donor.part });
  }

  onCheckpoint(outcome: CheckpointEvent): void {
    const { videoId } = this.#received.message.request;
    if (outcome.event === 'resumed') this.#continues = outcome.runs;
    if ('error' in outcome) this.#warn(outcome.event, outcome.error);
    else this.#log({ level: 'info', videoId, ...outcome });
  }

  async #renew(): Promise<void> {
    const { queue, callbacks } = this.#dependencies;
    const { receipt, message } = this.#received;
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
