import { setTimeout as sleep } from 'node:timers/promises';
import { FlexCacheError, messageWithFix } from '#core/errors.ts';
import type { GenerationResult, UsageRecord } from '#core/generation.ts';
import { TaskGoneError } from '#stores/errors.ts';
import type { ReceivedMessage, WorkQueue } from '#stores/queue.ts';
import type { TaskCallbacks } from '#stores/workflow.ts';
import { generateVideo, type GenerationDependencies } from './generate-video.ts';
import { MessageHold, type JobTable } from './message-hold.ts';

export interface WorkerDependencies extends GenerationDependencies {
  queue: WorkQueue;
  table: JobTable;
  callbacks: TaskCallbacks;
  /** Where the worker runs, for the bill. */
  machine: Required<Pick<UsageRecord, 'instanceType' | 'purchaseOption'>>;
  /** Structured events, one object each. */
  log?: (event: WorkerEvent) => void;
  settings?: Partial<WorkerSettings>;
}

export interface WorkerSettings {
  /** Long polling; 20 is the most that SQS waits. */
  receiveWaitSeconds: number;
  /** A worker that dies gives its message back after this time. */
  visibilitySeconds: number;
  /** A message that was handed out more often than this fails its request: it breaks workers. */
  maximumDeliveries: number;
  /** Between two looks at whether the job was cancelled, and between two writes of its progress. */
  jobPollMilliseconds: number;
  /** Return when the queue is empty: a batch job drains it and ends. */
  stopWhenEmpty: boolean;
}

export const DEFAULT_SETTINGS: WorkerSettings = {
  receiveWaitSeconds: 20,
  visibilitySeconds: 60,
  maximumDeliveries: 5,
  jobPollMilliseconds: 500,
  stopWhenEmpty: false,
};

/** Something worth knowing afterwards. */
export interface WorkerEvent {
  level: 'info' | 'warn' | 'error';
  event: string;
  videoId?: string;
  [detail: string]: unknown;
}

export interface Worker {
  /**
   * Takes and answers messages until the signal aborts. A generation in progress stops before its
   * next step and its message goes back to the queue.
   */
  run(signal: AbortSignal): Promise<void>;
}

const LONGEST_BACKOFF_SECONDS = 60;

/**
 * The GPU worker: receive, generate, answer the workflow, delete.
 *
 * @example
 * await createWorker(dependencies).run(controller.signal);
 */
export function createWorker(dependencies: WorkerDependencies): Worker {
  const settings = { ...DEFAULT_SETTINGS, ...dependencies.settings };
  const log = dependencies.log ?? (() => {});

  return {
    async run(signal) {
      let failures = 0;
      while (!signal.aborted) {
        let received: ReceivedMessage | null;
        try {
          received = await dependencies.queue.receive(
            settings.receiveWaitSeconds,
            settings.visibilitySeconds,
            signal,
          );
          failures = 0;
        } catch (error) {
          if (signal.aborted) return;
          if (!isTransient(error)) throw error;
          log({ level: 'warn', event: 'receive_failed', message: messageOf(error) });
          await pause(backoffSeconds(++failures), signal);
          continue;
        }
        if (received !== null) {
          await handleMessage(dependencies, settings, log, received, signal);
        } else if (settings.stopWhenEmpty) {
          return;
        }
      }
    },
  };
}

async function handleMessage(
  dependencies: WorkerDependencies,
  settings: WorkerSettings,
  log: (event: WorkerEvent) => void,
  received: ReceivedMessage,
  signal: AbortSignal,
): Promise<void> {
  const { videoId } = received.message.request;
  await using hold = new MessageHold(dependencies, received, settings, log, signal);
  try {
    if (received.deliveries > settings.maximumDeliveries) {
      throw new FlexCacheError(
        'internal',
        `the request stopped its worker ${received.deliveries - 1} times`,
        { fix: 'look at the log of the worker for this video id' },
      );
    }
    await hold.start();
    const result = await generate(dependencies, received, hold);
    await dependencies.callbacks.sendTaskSuccess(received.message.taskToken, result);
    await dependencies.queue.delete(received.receipt);
    const { hit, stepsRun, seconds } = result;
    log({ level: 'info', event: 'generated', videoId, hit, stepsRun, seconds });
  } catch (error) {
    // A renewal in flight would take back a message that is given back below.
    await hold.stop();
    try {
      await answerFailure(dependencies, settings, log, received, hold, error);
    } catch (answerError) {
      // The message becomes visible again by itself; its next delivery answers.
      log({ level: 'warn', event: 'answer_failed', videoId, message: messageOf(answerError) });
    }
  }
}

async function generate(
  dependencies: WorkerDependencies,
  { message }: ReceivedMessage,
  hold: MessageHold,
): Promise<GenerationResult> {
  const startedAt = Date.now();
  const { request, plan, sentAt } = message;
  const video = await generateVideo(dependencies, request, plan, hold);
  const generateSeconds = (Date.now() - startedAt) / 1000;
  return {
    ...video,
    seconds: { queue: Math.max(0, startedAt - sentAt) / 1000, generate: generateSeconds },
    usage: {
      step: 'generate',
      ...dependencies.machine,
      ...video.usage,
      ...hold.usage,
      gpuSeconds: generateSeconds,
    },
  };
}

async function answerFailure(
  { queue, callbacks }: WorkerDependencies,
  settings: WorkerSettings,
  log: (event: WorkerEvent) => void,
  { message, receipt, deliveries }: ReceivedMessage,
  hold: MessageHold,
  error: unknown,
): Promise<void> {
  const { videoId } = message.request;
  const reason = error instanceof TaskGoneError ? 'gone' : hold.stopReason;
  if (reason === 'taken') {
    log({ level: 'warn', event: 'message_taken', videoId });
    return;
  }
  if (reason === 'gone') {
    log({ level: 'warn', event: 'task_gone', videoId });
    await queue.delete(receipt);
    return;
  }
  if (reason === 'shutdown') {
    log({ level: 'info', event: 'returned', videoId });
    await queue.extend(receipt, 0);
    return;
  }
  if (isTransient(error) && deliveries < settings.maximumDeliveries) {
    const seconds = backoffSeconds(deliveries);
    log({ level: 'warn', event: 'retried', videoId, seconds, message: messageOf(error) });
    await queue.extend(receipt, seconds);
    return;
  }
  const code = error instanceof FlexCacheError ? error.code : 'internal';
  const level = code === 'cancelled' ? 'info' : 'error';
  log({ level, event: 'failed', videoId, code, message: messageOf(error), stack: stackOf(error) });
  try {
    await callbacks.sendTaskFailure(message.taskToken, code, causeOf(error));
  } catch (answerError) {
    if (!(answerError instanceof TaskGoneError)) throw answerError;
  }
  await queue.delete(receipt);
}

function isTransient(error: unknown): boolean {
  return error instanceof FlexCacheError && error.transient;
}

/** 2, 4, 8, ... seconds. */
function backoffSeconds(attempt: number): number {
  return Math.min(2 ** attempt, LONGEST_BACKOFF_SECONDS);
}

async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What whoever waits for the video is told. */
function causeOf(error: unknown): string {
  return error instanceof FlexCacheError ? messageWithFix(error) : messageOf(error);
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
