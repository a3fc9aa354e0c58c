import { setTimeout as sleep } from 'node:timers/promises';
import { FlexCacheError } from '#core/errors.ts';
import type { GenerationRequest, GenerationResult, Plan } from '#core/generation.ts';
import { inStepBatches } from '#models/step-batches.ts';
import { fruitlessDeliveries, type ReceivedMessage, type WorkQueue } from '#ports/queue.ts';
import { UsageMeter } from '#ports/usage-meter.ts';
import type { TaskCallbacks } from '#ports/workflow.ts';
import { answerFailure, forgetCheckpoint } from './answer-failure.ts';
import { backoffSeconds, isTransient, messageOf } from './failures.ts';
import { generateVideo, type GenerationDependencies } from './generate-video.ts';
import { MachineTime } from './machine-time.ts';
import type { Machine } from './machine.ts';
import { MessageHold, RENEWALS_PER_VISIBILITY, type JobTable } from './message-hold.ts';
import { SharedTime } from './shared-time.ts';
import { UNPROTECTED, type TaskProtection } from './task-protection.ts';

export interface WorkerDependencies extends GenerationDependencies {
  queue: WorkQueue;
  table: JobTable;
  callbacks: TaskCallbacks;
  /** Where the worker runs, for the bill. */
  machine: Machine;
  /** How long it took until the worker was ready; counted with its first video. */
  coldStartSeconds?: number;
  /** Keeps the worker from being stopped while it has a message; by default nobody would. */
  protection?: TaskProtection;
  /** Told once, when the worker ends: seconds of its machine that no video has taken. */
  onIdleTail?: (seconds: number) => Promise<void>;
  /** Structured events, one object each. */
  log?: (event: WorkerEvent) => void;
  /** After every video whose workflow took it. */
  onVideo?: (request: GenerationRequest, plan: Plan, result: GenerationResult) => void;
  /** Called as long as the worker gets on: between messages, and between the steps of a video. */
  onAlive?: () => void;
  settings?: Partial<WorkerSettings>;
}

export interface WorkerSettings {
  /** Long polling; 20 is the most that SQS waits. */
  receiveWaitSeconds: number;
  /** A worker that dies gives its message back after this time. */
  visibilitySeconds: number;
  /** A request that came to nothing so often fails: it breaks workers. */
  maximumDeliveries: number;
  /** Between two writes of a job's progress. */
  progressMilliseconds: number;
  /** Messages that are worked on at once, their steps in one network call; 1 is one after the other. */
  batch: number;
  /** Return when no message came for `idleSeconds`: a batch job drains the queue and ends. */
  stopWhenEmpty: boolean;
  idleSeconds: number;
}

export const DEFAULT_SETTINGS: WorkerSettings = {
  receiveWaitSeconds: 20,
  visibilitySeconds: 60,
  maximumDeliveries: 5,
  progressMilliseconds: 500,
  batch: 1,
  stopWhenEmpty: false,
  idleSeconds: 60,
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
   * Takes and answers messages until the signal aborts. Generations in progress stop before their
   * next step, leave a checkpoint each, and their messages go back to the queue at once.
   */
  run(signal: AbortSignal): Promise<void>;
}

/**
 * The GPU worker: receive, generate, answer the workflow, delete.
 *
 * @example
 * await createWorker(dependencies).run(controller.signal);
 */
export function createWorker(given: WorkerDependencies): Worker {
  const settings = { ...DEFAULT_SETTINGS, ...given.settings };
  const log = given.log ?? (() => {});
  const dependencies =
    settings.batch === 1 ? given : { ...given, model: inStepBatches(given.model, settings.batch) };

  return {
    async run(signal) {
      const time = new MachineTime(dependencies.machine, dependencies.coldStartSeconds ?? 0);
      try {
        await takeMessages(dependencies, settings, log, time, signal);
      } finally {
        await tellIdleTail(dependencies, log, time);
      }
    },
  };
}

/** What a worker is busy with. */
interface Busy {
  messages: Set<Promise<void>>;
  /** A message is worked on that stopped its worker before: none of the others is to be stopped with it. */
  isAlone: boolean;
}

async function takeMessages(
  dependencies: WorkerDependencies,
  settings: WorkerSettings,
  log: (event: WorkerEvent) => void,
  time: MachineTime,
  shutdown: AbortSignal,
): Promise<void> {
  const { protection = UNPROTECTED } = dependencies;
  const shared = new SharedTime();
  const busy: Busy = { messages: new Set(), isAlone: false };
  const broken = new AbortController();
  const signal = AbortSignal.any([shutdown, broken.signal]);
  let failures = 0;
  let idleSince = performance.now();
  try {
    while (!signal.aborted) {
      if (busy.messages.size >= (busy.isAlone ? 1 : settings.batch)) {
        await Promise.race(busy.messages);
        continue;
      }
      // A worker gets on with the messages that it has; looking for more does not hide that one hangs.
      if (busy.messages.size === 0) dependencies.onAlive?.();
      // What a message takes is counted from the request that brings it.
      const meter = new UsageMeter();
      let received: ReceivedMessage | null;
      try {
        received = await meter.run(() =>
          dependencies.queue.receive(
            receiveWaitSeconds(settings, idleSince),
            settings.visibilitySeconds,
            signal,
          ),
        );
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        if (!isTransient(error)) {
          broken.abort(error);
          break;
        }
        log({ level: 'warn', event: 'receive_failed', message: messageOf(error) });
        await pause(backoffSeconds(++failures), signal);
        continue;
      }
      if (received !== null) {
        const hasStoppedAWorker = fruitlessDeliveries(received) > 0;
        if (hasStoppedAWorker && busy.messages.size > 0) {
          await meter.run(() => waitForTurn(dependencies, settings, log, received, busy.messages));
        }
        await protection.protect();
        busy.isAlone = hasStoppedAWorker;
        const work = handleMessage(
          dependencies,
          settings,
          log,
          received,
          time,
          shared,
          meter,
          signal,
        )
          .catch((error: unknown) => broken.abort(error))
          .finally(() => {
            busy.messages.delete(work);
            idleSince = performance.now();
          });
        busy.messages.add(work);
        continue;
      }
      if (busy.messages.size > 0) {
        idleSince = performance.now();
        continue;
      }
      await protection.release();
      if (settings.stopWhenEmpty && idleSecondsLeft(settings, idleSince) === 0) break;
    }
  } finally {
    await Promise.all(busy.messages);
  }
  broken.signal.throwIfAborted();
}

/** Keeps a message ours until those that are worked on are done. */
async function waitForTurn(
  { queue }: WorkerDependencies,
  { visibilitySeconds }: WorkerSettings,
  log: (event: WorkerEvent) => void,
  { receipt, message }: ReceivedMessage,
  before: Iterable<Promise<void>>,
): Promise<void> {
  const { videoId } = message.request;
  log({ level: 'info', event: 'waits_to_be_alone', videoId });
  // Whoever has lost it learns so when its turn comes.
  const renew = (): void =>
    void queue.extend(receipt, visibilitySeconds).catch((error: unknown) => {
      log({ level: 'warn', event: 'renewal_failed', videoId, message: messageOf(error) });
    });
  const timer = setInterval(renew, (visibilitySeconds * 1000) / RENEWALS_PER_VISIBILITY);
  try {
    await Promise.all(before);
    renew();
  } finally {
    clearInterval(timer);
  }
}

/** A machine's last seconds belong to no video; that they are not known ends no worker. */
async function tellIdleTail(
  { onIdleTail }: WorkerDependencies,
  log: (event: WorkerEvent) => void,
  time: MachineTime,
): Promise<void> {
  const { idleSeconds = 0, coldStartSeconds = 0 } = time.untakenAt(performance.now());
  if (idleSeconds + coldStartSeconds === 0) return;
  try {
    await onIdleTail?.(idleSeconds + coldStartSeconds);
  } catch (error) {
    log({ level: 'warn', event: 'idle_tail_not_recorded', message: messageOf(error) });
  }
}

function idleSecondsLeft({ idleSeconds }: WorkerSettings, idleSince: number): number {
  return Math.max(0, idleSeconds - (performance.now() - idleSince) / 1000);
}

/** SQS waits whole seconds; without any wait it looks at some of its servers only. */
function receiveWaitSeconds(settings: WorkerSettings, idleSince: number): number {
  if (!settings.stopWhenEmpty) return settings.receiveWaitSeconds;
  const left = Math.max(1, Math.ceil(idleSecondsLeft(settings, idleSince)));
  return Math.min(settings.receiveWaitSeconds, left);
}

async function handleMessage(
  dependencies: WorkerDependencies,
  settings: WorkerSettings,
  log: (event: WorkerEvent) => void,
  received: ReceivedMessage,
  time: MachineTime,
  shared: SharedTime,
  meter: UsageMeter,
  signal: AbortSignal,
): Promise<void> {
  // A machine that works on another message has not waited for this one.
  const untaken = shared.messages > 0 ? {} : time.untakenAt(performance.now());
  shared.begin();
  const ledger = {
    machine: dependencies.machine,
    untaken,
    meter,
    time: shared,
    receivedAt: shared.now(),
  };
  try {
    await meter.run(async () => {
      await using hold = new MessageHold(dependencies, received, settings, log, signal, ledger);
      await answer(dependencies, settings, log, received, hold);
      if (hold.enteredUntil !== null) time.takenUntil(hold.enteredUntil);
    });
  } finally {
    shared.end();
  }
}

async function answer(
  dependencies: WorkerDependencies,
  settings: WorkerSettings,
  log: (event: WorkerEvent) => void,
  received: ReceivedMessage,
  hold: MessageHold,
): Promise<void> {
  const { videoId } = received.message.request;
  try {
    const fruitless = fruitlessDeliveries(received);
    if (fruitless >= settings.maximumDeliveries) {
      throw new FlexCacheError('internal', `the request stopped its worker ${fruitless} times`, {
        fix: 'look at the log of the worker for this video id',
      });
    }
    await hold.start();
    const { result, stepsHere } = await generate(dependencies, received, hold);
    await dependencies.callbacks.sendTaskSuccess(received.message.taskToken, result);
    await dependencies.queue.delete(received.receipt);
    const { hit, stepsRun, seconds } = result;
    log({ level: 'info', event: 'generated', videoId, hit, stepsRun, stepsHere, seconds });
    const { request, plan } = received.message;
    dependencies.onVideo?.(request, plan, result);
    await forgetCheckpoint(dependencies, log, videoId);
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
): Promise<{ result: GenerationResult; stepsHere: number }> {
  const { request, plan, sentAt } = message;
  const { stepsHere, work, ...video } = await generateVideo(dependencies, request, plan, hold);
  const usage = hold.finalUsage(work);
  const queue = Math.max(0, (Date.now() - sentAt) / 1000 - usage.gpuSeconds);
  return { result: { ...video, seconds: { queue, generate: usage.gpuSeconds }, usage }, stepsHere };
}

async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
