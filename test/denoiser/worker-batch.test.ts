import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import type { GenerationResult, Job } from '#core/generation.ts';
import { checkpointObjectKey } from '#core/requests/identity.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import type { TextCondition, VelocityRequest } from '#models/model.ts';
import type { GenerateMessage, ReceivedMessage } from '#ports/queue.ts';
import type { WorkerEvent, WorkerSettings } from '#denoiser/worker.ts';
import {
  CurvedVideoModel,
  drainingWorker,
  MemoryJobs,
  MemoryObjects,
  planFor,
  RecordingCallbacks,
  requestFor,
  ScriptedQueue,
} from './fakes.ts';

/** A step of each takes a while, however many there are. */
const STEP_MILLISECONDS = 3;

class CountingModel extends CurvedVideoModel {
  /** Rows of each call. */
  readonly rows: number[] = [];
  beforeCall: () => void = () => {};
  readonly #conditions = new Map<string | null, Promise<TextCondition>>();

  /** The same states for the same text, as the real one keeps them. */
  override encodeText(asked: string | null): Promise<TextCondition> {
    const known = this.#conditions.get(asked) ?? super.encodeText(asked);
    this.#conditions.set(asked, known);
    return known;
  }

  override async velocities(
    requests: readonly VelocityRequest[],
    negative: TextCondition,
    guidance: number,
  ): Promise<Tensor[]> {
    this.beforeCall();
    this.rows.push(requests.length);
    await sleep(STEP_MILLISECONDS);
    return super.velocities(requests, negative, guidance);
  }
}

/** Waits a little where nothing is there, as a queue does. */
class WaitingQueue extends ScriptedQueue {
  override async receive(): Promise<ReceivedMessage | null> {
    return (await super.receive()) ?? (await sleep(1), null);
  }
}

const PROMPTS = ['a red ball', 'a blue star', 'a green cube'];
const videoIdOf = (index: number): string => `vid_${String(index).padStart(26, '0')}`;

function messageOf(index: number): GenerateMessage {
  return {
    taskToken: `token-${index}`,
    request: { ...requestFor(PROMPTS[index]!), videoId: videoIdOf(index) },
    plan: planFor('miss'),
    embedding: {
      objectPhrase: null,
      backgroundPhrase: null,
      vectors: { whole: [1], object: null, background: null },
    },
    sentAt: Date.now(),
  };
}

describe('a worker that makes several videos at once', () => {
  let model: CountingModel;
  let objects: MemoryObjects;
  let jobs: MemoryJobs;
  let queue: WaitingQueue;
  let callbacks: RecordingCallbacks;
  let events: WorkerEvent[];
  let signsOfLife: number;

  beforeEach(() => {
    model = new CountingModel();
    objects = new MemoryObjects();
    jobs = new MemoryJobs();
    queue = new WaitingQueue();
    callbacks = new RecordingCallbacks();
    events = [];
    signsOfLife = 0;
  });

  async function drain(
    settings: Partial<WorkerSettings> = {},
    signal: AbortSignal = new AbortController().signal,
    onIdleTail: (seconds: number) => Promise<void> = async () => {},
  ): Promise<void> {
    await drainingWorker({
      model,
      objects,
      table: jobs,
      queue,
      callbacks,
      onIdleTail,
      log: (event) => events.push(event),
      onAlive: () => void signsOfLife++,
      settings: { batch: 3, ...settings },
    }).run(signal);
  }

  /** Content of the objects of each video, which their keys name. */
  const madeOf = (results: readonly GenerationResult[]): string[] =>
    results.flatMap(({ videoKey, latentKey }) => [videoKey, latentKey!]).sort();

  /** What the same requests give one after the other. */
  async function madeAlone(): Promise<string[]> {
    const [ours, theirs] = [callbacks, new RecordingCallbacks()];
    callbacks = theirs;
    objects = new MemoryObjects();
    for (const index of PROMPTS.keys()) queue.deliver(messageOf(index));
    await drain({ batch: 1 });
    callbacks = ours;
    return madeOf(theirs.successes);
  }

  it('evaluates their steps in one call, and makes what each would be alone', async () => {
    // Prepare
    for (const index of PROMPTS.keys()) queue.deliver(messageOf(index));

    // Act
    await drain();

    // Assess
    expect(callbacks.failures).toEqual([]);
    expect(callbacks.successes).toHaveLength(3);
    expect(Math.max(...model.rows)).toBe(3);
    expect(model.rows.reduce((sum, rows) => sum + rows, 0)).toBe(3 * 12);
    expect(model.rows.length).toBeLessThan(2 * 12);
    expect(queue.deleted.sort()).toEqual(['receipt-0', 'receipt-1', 'receipt-2']);
    expect(madeOf(callbacks.successes)).toEqual(await madeAlone());
  });

  it('takes in a request that comes later at the next step, and no more than it was told', async () => {
    // Prepare
    queue.deliver(messageOf(0));
    let calls = 0;
    let atOnce = 0;
    model.beforeCall = () => {
      if (++calls !== 4) return;
      for (const index of [1, 2]) queue.deliver(messageOf(index));
    };
    const { leaveQueue } = jobs;
    jobs.leaveQueue = async (...given) => {
      atOnce = Math.max(atOnce, jobs.leftQueue.length + 1 - callbacks.successes.length);
      return leaveQueue.apply(jobs, given);
    };

    // Act
    await drain({ batch: 2 });

    // Assess
    expect(callbacks.successes).toHaveLength(3);
    expect(model.rows.slice(0, 4)).toEqual([1, 1, 1, 1]);
    expect(model.rows.slice(4, 8)).toContain(2);
    expect(Math.max(...model.rows)).toBe(2);
    expect(atOnce).toBe(2);
  });

  it('charges each its share of the seconds, which add up to those of the machine', async () => {
    // Prepare
    for (const index of PROMPTS.keys()) queue.deliver(messageOf(index));
    const tails: number[] = [];

    // Act
    const startedAt = performance.now();
    await drain({}, undefined, async (seconds) => void tails.push(seconds));
    const seconds = (performance.now() - startedAt) / 1000;

    // Assess
    const usages = callbacks.successes.map(({ usage }) => usage);
    const sum = (field: 'gpuSeconds' | 'denoiseSeconds' | 'idleSeconds'): number =>
      usages.reduce((all, usage) => all + (usage[field] ?? 0), 0);
    const booked = sum('gpuSeconds') + sum('idleSeconds') + (tails[0] ?? 0);
    // Each figure is rounded to a millisecond, and answers are not charged.
    expect(Math.abs(booked - seconds)).toBeLessThan(0.03);
    expect(sum('denoiseSeconds')).toBeLessThanOrEqual(sum('gpuSeconds'));
    // One after the other the 36 steps alone take longer than all of it.
    expect(sum('denoiseSeconds')).toBeLessThan((3 * 12 * STEP_MILLISECONDS) / 1000);
    expect(usages.map(({ networkEvaluations }) => networkEvaluations)).toEqual([12, 12, 12]);
    for (const { usage, seconds: told } of callbacks.successes) {
      expect(told.generate).toBe(usage.gpuSeconds);
    }
  });

  it('leaves a checkpoint of each when it is shut down, and its successor ends in the same bits', async () => {
    // Prepare
    const shutdown = new AbortController();
    for (const index of PROMPTS.keys()) queue.deliver(messageOf(index));
    model.beforeCall = () => {
      if (model.rows.length === 5) shutdown.abort();
    };
    await drain({}, shutdown.signal);
    const left = [...objects.bodies.keys()].sort();
    const before = model.rows.reduce((sum, rows) => sum + rows, 0);
    model.beforeCall = () => {};

    // Act
    await drain();

    // Assess
    expect(left).toEqual(PROMPTS.map((_, index) => checkpointObjectKey(videoIdOf(index))));
    expect(before).toBeLessThan(3 * 12);
    expect(model.rows.reduce((sum, rows) => sum + rows, 0)).toBe(3 * 12);
    expect(jobs.usage).toHaveLength(3);
    for (const { usage } of callbacks.successes) expect(usage.continues).toHaveLength(1);
    expect(madeOf(callbacks.successes)).toEqual(await madeAlone());
  });

  it('ends the one that is cancelled or fails, and makes the others', async () => {
    // Prepare
    for (const index of PROMPTS.keys()) queue.deliver(messageOf(index));
    const getJob = jobs.getJob.bind(jobs) as (videoId: string) => Promise<Job | null>;
    jobs.getJob = (async (videoId: string) => ({
      ...(await getJob(videoId)),
      cancelRequested: videoId === videoIdOf(1) && model.rows.length > 4,
    })) as MemoryJobs['getJob'];
    const decode = model.decode.bind(model);
    let decoded = 0;
    model.decode = (latent) =>
      ++decoded === 1 ? Promise.reject(new RangeError('boom')) : decode(latent);

    // Act
    await drain();

    // Assess
    expect(callbacks.failures.map(({ error }) => error).sort()).toEqual(['cancelled', 'internal']);
    expect(callbacks.successes).toHaveLength(1);
    expect(queue.deleted).toHaveLength(3);
  });

  it('says nothing of being alive while a call hangs, although it looks for more messages', async () => {
    // Prepare
    queue.deliver(messageOf(0));
    const open = Promise.withResolvers<void>();
    model.beforeStep = () => open.promise;
    let polls = 0;
    const receive = queue.receive.bind(queue);
    queue.receive = () => {
      polls += 1;
      return receive();
    };

    // Act
    const draining = drain();
    await expect.poll(() => model.rows.length).toBe(1);
    const [before, polled] = [signsOfLife, polls];
    await expect.poll(() => polls - polled).toBeGreaterThan(3);
    const during = signsOfLife - before;
    open.resolve();
    await draining;

    // Assess
    expect(during).toBe(0);
    expect(signsOfLife).toBeGreaterThanOrEqual(before + 12);
  });

  it('works alone on a message that has stopped a worker before', async () => {
    // Prepare
    queue.deliver(messageOf(0));
    queue.deliver(messageOf(1), 3);
    queue.deliver(messageOf(2));

    // Act
    await drain();

    // Assess
    expect(callbacks.successes).toHaveLength(3);
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'waits_to_be_alone', videoId: videoIdOf(1) }),
    );
    expect(Math.max(...model.rows)).toBe(1);
  });
});
