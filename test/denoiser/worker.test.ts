import { beforeEach, describe, expect, it } from 'vitest';
import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type { GenerationResult, Plan } from '#core/generation.ts';
import { checkpointObjectKey } from '#core/requests/identity.ts';
import { ledgerOf } from '#core/costs/ledger.ts';
import { TaskGoneError } from '#ports/errors.ts';
import { fruitlessDeliveries, type GenerateMessage } from '#ports/queue.ts';
import type { createWorker, WorkerEvent, WorkerSettings } from '#denoiser/worker.ts';
import {
  donorFor,
  drainingWorker,
  FakeVideoModel,
  MemoryJobs,
  MemoryObjects,
  planFor,
  RecordingCallbacks,
  requestFor,
  ScriptedQueue,
  VIDEO_ID,
} from './fakes.ts';

const TRANSIENT = new FlexCacheError('throttled', 'slow down', { transient: true });

describe('createWorker', () => {
  let model: FakeVideoModel;
  let objects: MemoryObjects;
  let jobs: MemoryJobs;
  let queue: ScriptedQueue;
  let callbacks: RecordingCallbacks;
  let events: WorkerEvent[];
  let videos: [videoId: string, fullSteps: number, result: GenerationResult][];
  let signsOfLife: number;

  beforeEach(() => {
    model = new FakeVideoModel();
    objects = new MemoryObjects();
    jobs = new MemoryJobs();
    queue = new ScriptedQueue();
    callbacks = new RecordingCallbacks();
    events = [];
    videos = [];
    signsOfLife = 0;
  });

  function messageWith(plan: Plan = planFor('miss')): GenerateMessage {
    return {
      taskToken: 'token',
      request: requestFor('a red ball'),
      plan,
      embedding: {
        objectPhrase: 'a red ball',
        backgroundPhrase: null,
        vectors: { whole: [1], object: [1], background: null },
      },
      sentAt: Date.now() - 2000,
    };
  }

  /** Runs until the queue is empty. */
  async function drain(
    settings: Partial<WorkerSettings> = {},
    signal: AbortSignal = new AbortController().signal,
    worker: Partial<Parameters<typeof createWorker>[0]> = {},
  ): Promise<void> {
    await drainingWorker({
      model,
      objects,
      table: jobs,
      queue,
      callbacks,
      log: (event) => events.push(event),
      onVideo: ({ videoId }, { fullSteps }, result) => videos.push([videoId, fullSteps, result]),
      onAlive: () => void signsOfLife++,
      settings,
      ...worker,
    }).run(signal);
  }

  it('answers the workflow, then deletes the message', async () => {
    // Prepare
    queue.deliver(messageWith());

    // Act
    await drain();

    // Assess
    expect(callbacks.failures).toEqual([]);
    expect(callbacks.successes).toHaveLength(1);
    expect(callbacks.successes[0]).toMatchObject({
      hit: 'miss',
      stepsRun: 12,
      usage: {
        step: 'generate',
        instanceType: 'g6.xlarge',
        purchaseOption: 'spot',
        networkEvaluations: 12,
        gpuSeconds: callbacks.successes[0]!.seconds.generate,
      },
    });
    expect(callbacks.successes[0]!.seconds.queue).toBeGreaterThan(1.99);
    expect(callbacks.successes[0]!.seconds.generate).toBeGreaterThan(0);
    expect(queue.deleted).toEqual(['receipt-0']);
  });

  it('is protected from scale-in from its first message until the queue is empty', async () => {
    // Prepare
    const calls: string[] = [];
    const protection = {
      protect: async () => void calls.push('protect'),
      release: async () => void calls.push('release'),
    };
    queue.deliver(messageWith());
    queue.deliver(messageWith());
    const onVideo = () => void calls.push('video');

    // Act
    await drain({}, undefined, { protection, onVideo });

    // Assess
    expect(calls).toEqual(['protect', 'video', 'protect', 'video', 'release']);
  });

  it('writes the progress of the job', async () => {
    queue.deliver(messageWith());

    await drain();

    // Before the first step and after each.
    expect(jobs.progress).toHaveLength(1 + 12);
    expect(jobs.progress[0]).toBe(0);
    expect(jobs.progress.at(-1)).toBe(90);
  });

  it('writes with each progress what its machine has been used for, which a kill leaves behind', async () => {
    // Prepare
    queue.deliver(messageWith());
    jobs.job!.attempt = 2;

    // Act
    await drain();

    // Assess
    const [{ usage }] = callbacks.successes as [GenerationResult];
    expect(jobs.soFar.map(({ networkEvaluations }) => networkEvaluations)).toEqual([
      undefined,
      ...Array.from({ length: 12 }, (_, step) => step + 1),
    ]);
    for (const [index, record] of jobs.soFar.entries()) {
      expect(record).toMatchObject({
        step: 'generate',
        run: usage.run,
        attempt: 2,
        startedAt: usage.startedAt,
        instanceType: 'g6.xlarge',
        purchaseOption: 'spot',
        // The job was read at the start and before each step.
        tableReadUnits: 1 + index,
      });
      expect(record.gpuSeconds).toBeGreaterThanOrEqual(jobs.soFar[index - 1]?.gpuSeconds ?? 0);
    }
    expect(usage.gpuSeconds).toBeGreaterThanOrEqual(jobs.soFar.at(-1)!.gpuSeconds!);
    // The answer carries the last of it: whoever takes it enters it.
    expect(jobs.usage).toEqual([]);
  });

  it('writes the progress no more often than it was told, and looks at the job before every step', async () => {
    // Prepare
    queue.deliver(messageWith());

    // Act
    await drain({ progressMilliseconds: 60_000 });

    // Assess
    expect(jobs.progress).toHaveLength(1);
    // Once at the start, before each of 12 steps, and before the video is stored.
    expect(callbacks.successes[0]!.usage).toMatchObject({
      tableReadUnits: 14,
      // The progress, and the place in the queue that was left.
      tableWriteUnits: 2,
      // Received and deleted; who sent it has counted that.
      queueRequests: 2,
    });
  });

  it('finishes the video when its progress cannot be written', async () => {
    // Prepare
    queue.deliver(messageWith());
    jobs.setJobProgress = () => Promise.reject(TRANSIENT);

    // Act
    await drain();

    // Assess
    expect(callbacks.successes).toHaveLength(1);
    expect(events).toContainEqual(expect.objectContaining({ event: 'progress_failed' }));
  });

  it('runs no step for a job that was cancelled before', async () => {
    // Prepare
    queue.deliver(messageWith());
    jobs.job = { status: 'queued', cancelRequested: true };

    // Act
    await drain();

    // Assess
    expect(callbacks.failures).toMatchObject([{ token: 'token', error: 'cancelled' }]);
    expect(model.times).toEqual([]);
    expect(queue.deleted).toEqual(['receipt-0']);
  });

  it('runs no further step once the job is cancelled', async () => {
    // Prepare
    queue.deliver(messageWith());
    model.beforeStep = () => {
      if (model.times.length === 4) jobs.job!.cancelRequested = true;
    };

    // Act
    await drain();

    // Assess: the step in which it was cancelled is the fifth.
    expect(model.times).toHaveLength(5);
    expect(callbacks.failures).toMatchObject([{ error: 'cancelled' }]);
    expect(objects.bodies.size).toBe(0);
  });

  it('enters work that came to nothing into the ledger before it answers', async () => {
    // Prepare
    queue.deliver(messageWith());
    jobs.job!.attempt = 2;
    model.decode = () => Promise.reject(new RangeError('boom'));
    const known: number[] = [];
    callbacks.sendTaskFailure = async () => void known.push(jobs.usage.length);

    // Act
    await drain();

    // Assess
    expect(known).toEqual([1]);
    expect(jobs.usage).toEqual([
      {
        step: 'generate',
        run: jobs.soFar[0]!.run,
        startedAt: jobs.soFar[0]!.startedAt,
        attempt: 2,
        instanceType: 'g6.xlarge',
        purchaseOption: 'spot',
        networkEvaluations: 12,
        denoiseSeconds: expect.any(Number),
        tableReadUnits: 13,
        tableWriteUnits: 14,
        // The checkpoint that is not there.
        objectGets: 1,
        queueRequests: 2,
        gpuSeconds: expect.any(Number),
      },
    ]);
  });

  it('answers all the same when lost work cannot be entered into the ledger', async () => {
    // Prepare
    queue.deliver(messageWith());
    model.decode = () => Promise.reject(new RangeError('boom'));
    jobs.recordUsage = () => Promise.reject(TRANSIENT);

    // Act
    await drain();

    // Assess
    expect(callbacks.failures).toMatchObject([{ error: 'internal' }]);
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'usage_not_recorded', level: 'warn' }),
    );
  });

  it('fails a request whose job is not there', async () => {
    queue.deliver(messageWith());
    jobs.job = null;

    await drain();

    expect(callbacks.failures).toMatchObject([{ error: 'not_found' }]);
    expect(jobs.usage).toEqual([]);
  });

  it('fails the request with the code and the message of the error, then takes the next', async () => {
    // Prepare
    queue.deliver(messageWith());
    queue.deliver(messageWith());
    const decode = model.decode.bind(model);
    model.decode = async () => {
      model.decode = decode;
      throw new FlexCacheError('model_corrupt', 'the decoder is broken');
    };

    // Act
    await drain();

    // Assess
    expect(callbacks.failures).toEqual([
      { token: 'token', error: 'model_corrupt', cause: 'the decoder is broken' },
    ]);
    expect(callbacks.successes).toHaveLength(1);
    expect(queue.deleted).toHaveLength(2);
  });

  it('fails the request as internal when the error is not ours', async () => {
    queue.deliver(messageWith());
    model.decode = () => Promise.reject(new RangeError('boom'));

    await drain();

    expect(callbacks.failures).toMatchObject([{ error: 'internal', cause: 'boom' }]);
  });

  it('leaves a message for another delivery when the store is down for a while', async () => {
    // Prepare
    queue.deliver(messageWith(planFor('whole', [donorFor('whole', 'a')])), 2);
    objects.nextGetError = TRANSIENT;

    // Act
    await drain();

    // Assess: 2^2 seconds after the second delivery.
    expect(callbacks.failures).toEqual([]);
    expect(queue.deleted).toEqual([]);
    expect(queue.extended).toEqual([4]);
  });

  it('fails the request when the store is still down at the last delivery', async () => {
    queue.deliver(messageWith(planFor('whole', [donorFor('whole', 'a')])), 5);
    objects.nextGetError = TRANSIENT;

    await drain({ maximumDeliveries: 5 });

    expect(callbacks.failures).toMatchObject([{ error: 'throttled' }]);
    expect(queue.deleted).toEqual(['receipt-0']);
  });

  it('does not touch a message that stopped its workers too often', async () => {
    // Prepare
    queue.deliver(messageWith(), 6);

    // Act
    await drain({ maximumDeliveries: 5 });

    // Assess
    expect(model.times).toEqual([]);
    expect(callbacks.failures).toMatchObject([
      {
        error: 'internal',
        cause:
          'the request stopped its worker 5 times: look at the log of the worker for this video id',
      },
    ]);
    expect(queue.deleted).toEqual(['receipt-0']);
  });

  it('drops a message whose workflow no longer waits, without making its video', async () => {
    // Prepare
    queue.deliver(messageWith());
    callbacks.heartbeatError = new TaskGoneError();

    // Act
    await drain();

    // Assess
    expect(model.times).toEqual([]);
    expect(callbacks.failures).toEqual([]);
    expect(queue.deleted).toEqual(['receipt-0']);
  });

  it('drops a message whose workflow ended while its video was made', async () => {
    queue.deliver(messageWith());
    callbacks.successError = new TaskGoneError();

    await drain();

    expect(model.times).toHaveLength(12);
    expect(callbacks.failures).toEqual([]);
    expect(queue.deleted).toEqual(['receipt-0']);
  });

  it('renews the message and the heartbeat while a video is made, and not after', async () => {
    // Prepare: 12 steps of 20 ms against renewals every 30 ms.
    queue.deliver(messageWith());
    model.beforeStep = () => new Promise((resolve) => setTimeout(resolve, 20));

    // Act
    await drain({ visibilitySeconds: 0.09 });
    const heartbeats = callbacks.heartbeats;
    await new Promise((resolve) => setTimeout(resolve, 100));

    // Assess
    expect(queue.extended.length).toBeGreaterThanOrEqual(3);
    expect(queue.extended.every((seconds) => seconds === 0.09)).toBe(true);
    expect(heartbeats).toBeGreaterThanOrEqual(4);
    expect(callbacks.heartbeats).toBe(heartbeats);
  });

  it('stops and answers nothing when the message went to another worker', async () => {
    // Prepare
    queue.deliver(messageWith());
    queue.extendError = new ConditionFailedError('handed out again');
    model.beforeStep = () => new Promise((resolve) => setTimeout(resolve, 20));

    // Act
    await drain({ visibilitySeconds: 0.09 });

    // Assess
    expect(model.times.length).toBeLessThan(12);
    expect(callbacks).toMatchObject({ successes: [], failures: [] });
    expect(queue.deleted).toEqual([]);
  });

  it('has the next worker run only the steps that are left when it is shut down', async () => {
    // Prepare
    const shutdown = new AbortController();
    queue.deliver(messageWith());
    model.beforeStep = () => {
      if (model.times.length === 2) shutdown.abort();
    };
    await drain({}, shutdown.signal);
    const left = [...objects.bodies.keys()];
    model.times.length = 0;

    // Act
    await drain();

    // Assess
    expect(left).toEqual([checkpointObjectKey(VIDEO_ID)]);
    expect(model.times).toHaveLength(12 - 3);
    expect(callbacks.successes).toHaveLength(1);
    const [{ stepsRun, usage, seconds }] = callbacks.successes as [GenerationResult];
    expect({ stepsRun, evaluations: usage.networkEvaluations }).toEqual({
      stepsRun: 12,
      evaluations: 9,
    });
    expect(seconds.generate).toBe(usage.gpuSeconds);
    // The first worker's record stands by itself, and the second one's says that it went on with it.
    const [first, ...others] = jobs.usage;
    expect(others).toEqual([]);
    expect(first).toMatchObject({ step: 'generate', networkEvaluations: 3 });
    expect(usage.continues).toEqual([first!.run]);
    expect(ledgerOf({ usage: [first!, usage] }).map(({ isUseful }) => isUseful)).toEqual([
      true,
      true,
    ]);
    expect(callbacks.successes[0]).not.toHaveProperty('stepsHere');
    expect(objects.bodies.has(checkpointObjectKey(VIDEO_ID))).toBe(false);
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'resumed', videoId: VIDEO_ID, stepsDone: 3, steps: 12 }),
    );
    expect(events.at(-1)).toMatchObject({ event: 'generated', stepsRun: 12, stepsHere: 9 });
  });

  it('has each worker of a chain enter its own work when the video comes to nothing', async () => {
    // Prepare
    const shutdown = new AbortController();
    queue.deliver(messageWith());
    model.beforeStep = () => {
      if (model.times.length === 1) shutdown.abort();
    };
    await drain({}, shutdown.signal);
    model.beforeStep = () => Promise.reject(new RangeError('boom'));

    // Act
    await drain();

    // Assess
    expect(callbacks.failures).toMatchObject([{ error: 'internal' }]);
    const [first, second] = jobs.usage;
    expect(jobs.usage).toHaveLength(2);
    expect(first!.networkEvaluations).toBe(2);
    expect(second).toMatchObject({ continues: [first!.run] });
    expect(second!.networkEvaluations ?? 0).toBe(0);
  });

  it('leaves the bill of a worker that is killed without a word, as waste beside that of its successor', async () => {
    // Prepare: nothing that the first one does after its fifth step is ever heard of.
    queue.deliver(messageWith());
    const killed = new AbortController();
    model.beforeStep = () => {
      if (model.times.length < 5) return;
      killed.abort();
      return new Promise(() => {});
    };
    void drain({}, killed.signal);
    await expect.poll(() => killed.signal.aborted).toBe(true);
    const left = jobs.soFar.at(-1)!;
    const successor = new FakeVideoModel();
    model = successor;
    queue.deliver(messageWith(), 2);

    // Act
    await drain();

    // Assess
    expect(left).toMatchObject({ step: 'generate', networkEvaluations: 5 });
    expect(successor.times).toHaveLength(12);
    const [{ usage }] = callbacks.successes as [GenerationResult];
    expect(usage).not.toHaveProperty('continues');
    expect(usage.networkEvaluations).toBe(12);
    expect(ledgerOf({ usage: [left, usage] })).toEqual([
      { record: left, isUseful: false },
      { record: usage, isUseful: true },
    ]);
  });

  it('gives the time without work to the next video, and what is left at its end to nobody', async () => {
    // Prepare
    queue.deliver(messageWith());
    queue.deliver(messageWith());
    const receive = queue.receive.bind(queue);
    queue.receive = async () => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      return receive();
    };
    const tails: number[] = [];

    // Act
    const startedAt = performance.now();
    await drain({}, undefined, {
      coldStartSeconds: 7,
      onIdleTail: async (s) => void tails.push(s),
    });
    const seconds = (performance.now() - startedAt) / 1000;

    // Assess
    const [first, second] = callbacks.successes.map(({ usage }) => usage);
    expect(first!.coldStartSeconds).toBe(7);
    expect(second).not.toHaveProperty('coldStartSeconds');
    for (const { idleSeconds } of [first!, second!]) expect(idleSeconds).toBeGreaterThan(0.025);
    expect(tails).toHaveLength(1);
    expect(tails[0]).toBeGreaterThan(0.025);
    const booked = [first!, second!].reduce(
      (sum, { idleSeconds, gpuSeconds }) => sum + idleSeconds! + gpuSeconds!,
      tails[0]!,
    );
    // Each figure is rounded to a millisecond.
    expect(Math.abs(booked - seconds)).toBeLessThan(0.02);
  });

  it('is ready for nothing without a video: its start is in what is left', async () => {
    const tails: number[] = [];

    await drain({}, undefined, {
      coldStartSeconds: 7,
      onIdleTail: async (s) => void tails.push(s),
    });

    expect(tails).toEqual([expect.closeTo(7, 0)]);
  });

  it('ends cleanly when what is left cannot be recorded', async () => {
    await drain({}, undefined, {
      coldStartSeconds: 7,
      onIdleTail: () => Promise.reject(TRANSIENT),
    });

    expect(events).toMatchObject([{ level: 'warn', event: 'idle_tail_not_recorded' }]);
  });

  it('books no time without work on a machine that is there anyway', async () => {
    // Prepare
    queue.deliver(messageWith());
    const tails: number[] = [];
    const machine = { instanceType: 'embedded', purchaseOption: 'embedded' } as const;

    // Act
    await drain({}, undefined, { machine, onIdleTail: async (s) => void tails.push(s) });

    // Assess
    expect(callbacks.successes[0]!.usage).not.toHaveProperty('idleSeconds');
    expect(tails).toEqual([]);
  });

  it('keeps no checkpoint of a job that is cancelled while its worker shuts down', async () => {
    // Prepare
    const shutdown = new AbortController();
    queue.deliver(messageWith());
    model.beforeStep = () => {
      if (model.times.length < 2) return;
      jobs.job!.cancelRequested = true;
      shutdown.abort();
    };

    // Act
    await drain({}, shutdown.signal);

    // Assess
    expect(callbacks.failures).toMatchObject([{ error: 'cancelled' }]);
    expect(objects.bodies.size).toBe(0);
    expect(queue.deleted).toEqual(['receipt-0']);
  });

  it.each([
    ['was cancelled', () => void (jobs.job!.cancelRequested = true)],
    ['failed', () => void (model.decode = () => Promise.reject(new RangeError('boom')))],
    ['is waited for no more', () => void (callbacks.heartbeatError = new TaskGoneError())],
  ])('throws away the checkpoint of a video that %s', async (_, end) => {
    // Prepare
    await objects.put(checkpointObjectKey(VIDEO_ID), Buffer.from('of an earlier worker'));
    queue.deliver(messageWith(), 2);
    end();

    // Act
    await drain();

    // Assess
    expect(objects.bodies.size).toBe(0);
    expect(queue.deleted).toEqual(['receipt-0']);
  });

  it('answers all the same when the checkpoint cannot be thrown away', async () => {
    queue.deliver(messageWith());
    objects.delete = () => Promise.reject(TRANSIENT);

    await drain();

    expect(callbacks.successes).toHaveLength(1);
    expect(callbacks.failures).toEqual([]);
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'checkpoint_kept', videoId: VIDEO_ID }),
    );
  });

  it('goes on with a video when the table is down for a while', async () => {
    // Prepare
    queue.deliver(messageWith());
    let reads = 0;
    const getJob = jobs.getJob.bind(jobs);
    jobs.getJob = () => (++reads % 2 === 0 ? Promise.reject(TRANSIENT) : getJob());

    // Act
    await drain();

    // Assess
    expect(callbacks.successes).toHaveLength(1);
    expect(model.times).toHaveLength(12);
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'job_read_failed', videoId: VIDEO_ID }),
    );
  });

  it('hands every finished video to the metrics, and says all along that it is alive', async () => {
    queue.deliver(messageWith());

    await drain();

    expect(videos).toEqual([[VIDEO_ID, 12, callbacks.successes[0]]]);
    // Twice at the queue, and 14 looks at the job.
    expect(signsOfLife).toBe(16);
  });

  it('waits in an empty queue for as long as it was told before it ends', async () => {
    // Prepare: a message that comes 0.4 s later, and a queue that answers every poll at once.
    const receive = queue.receive.bind(queue);
    const waits: number[] = [];
    queue.receive = async (waitSeconds = 0) => {
      waits.push(waitSeconds);
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (waits.length === 5) queue.deliver(messageWith());
      return receive();
    };

    // Act
    await drain({ idleSeconds: 2, receiveWaitSeconds: 20 });

    // Assess: after the message the whole time begins again.
    expect(callbacks.successes).toHaveLength(1);
    expect(waits[0]).toBe(2);
    expect(waits.length).toBeGreaterThan(5);
    expect(Math.min(...waits)).toBe(1);
  });

  it('gives its message back at once when it is shut down', async () => {
    // Prepare
    const shutdown = new AbortController();
    queue.deliver(messageWith());
    queue.deliver(messageWith());
    model.beforeStep = () => {
      if (model.times.length === 2) shutdown.abort();
    };

    // Act
    await drain({}, shutdown.signal);

    // Assess
    expect(model.times).toHaveLength(3);
    expect(queue.sent).toHaveLength(1);
    expect(queue.deleted).toEqual(['receipt-0']);
    expect(callbacks).toMatchObject({ successes: [], failures: [] });
    expect(queue.waiting).toHaveLength(2);
  });

  it('is stopped as often as it may be without the request being taken for the reason', async () => {
    // Prepare: a message that has cost two workers, on machines that are taken away again and again.
    queue.deliver(messageWith(), 3);
    const interruptions = 8;

    // Act
    for (let stopped = 0; stopped < interruptions; stopped++) {
      const shutdown = new AbortController();
      model.beforeStep = () => shutdown.abort();
      await drain({ maximumDeliveries: 5 }, shutdown.signal);
    }
    model.beforeStep = () => {};
    const [last] = queue.waiting;
    await drain({ maximumDeliveries: 5 });

    // Assess
    expect(queue.sent).toHaveLength(interruptions);
    expect(fruitlessDeliveries(last!)).toBe(2);
    expect(callbacks.failures).toEqual([]);
    expect(callbacks.successes).toHaveLength(1);
  });

  it('goes on counting workers that a request has cost when one gives it back', async () => {
    // Prepare
    queue.deliver({ ...messageWith(), earlierDeliveries: 3 }, 3);

    // Act
    await drain({ maximumDeliveries: 5 });

    // Assess
    expect(callbacks.failures).toMatchObject([
      { cause: expect.stringContaining('the request stopped its worker 5 times') },
    ]);
  });

  it('waits and asks again when the queue is down for a while', async () => {
    // Prepare
    queue.deliver(messageWith());
    const receive = queue.receive.bind(queue);
    queue.receive = async () => {
      queue.receive = receive;
      throw TRANSIENT;
    };

    // Act
    await drain();

    // Assess
    expect(events[0]).toMatchObject({ event: 'receive_failed' });
    expect(callbacks.successes).toHaveLength(1);
  });

  it('ends with the error when the queue refuses it', async () => {
    queue.receive = () => Promise.reject(new FlexCacheError('permission_denied', 'no access'));

    await expect(drain()).rejects.toMatchObject({ code: 'permission_denied' });
  });
});
