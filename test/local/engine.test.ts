import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { FlexCacheError } from '#core/errors.ts';
import type { GenerationRequest, GenerationResult, HitKind } from '#core/generation.ts';
import { createDispatchHandler } from '#functions/dispatch/handler.ts';
import { TaskError } from '#functions/shared/task-error.ts';
import { SILENT_TELEMETRY } from '#functions/shared/telemetry.ts';
import { EmbeddedQueue } from '#local/embedded-queue.ts';
import type { FunctionHandler } from '#local/embedded-machine.ts';
import { EmbeddedEngine } from '#local/engine.ts';
import { TaskGoneError } from '#ports/errors.ts';
import type { GenerateMessage } from '#ports/queue.ts';
import { sampleRequest } from '../aws/samples.ts';

const DEFINITION = JSON.parse(
  readFileSync(new URL('../../local/generate.asl.json', import.meta.url), 'utf8'),
) as { States: Record<string, Record<string, unknown>> };

const RESULT = { videoKey: 'videos/v/1.mp4' } as GenerationResult;

describe('the embedded engine', () => {
  let request: GenerationRequest;
  let queue: EmbeddedQueue;
  let calls: string[];
  let inputs: Record<string, unknown>;
  let hit: HitKind;
  let failures: Record<string, unknown[]>;

  beforeEach(() => {
    request = sampleRequest();
    queue = new EmbeddedQueue();
    calls = [];
    inputs = {};
    hit = 'miss';
    failures = {};
  });

  function engineOn(
    definition: object = DEFINITION,
    onTask?: (videoId: string, state: string) => void,
  ): EmbeddedEngine {
    const handler =
      (name: string, output: () => unknown): FunctionHandler =>
      async (event) => {
        calls.push(name);
        inputs[name] = structuredClone(event);
        const failure = failures[name]?.shift();
        if (failure !== undefined) throw failure;
        return output();
      };
    const dispatch = createDispatchHandler({
      table: { getJob: async () => null, recordUsage: async () => {}, enterQueue: async () => {} },
      queues: { interactive: queue, backfill: queue },
      fleet: { wake: async () => {} },
      telemetry: SILENT_TELEMETRY,
    });
    return new EmbeddedEngine({
      definition,
      ...(onTask && { onTask }),
      handlers: {
        Embed: handler('Embed', () => ({ embedding: { objectPhrase: undefined } })),
        Lookup: handler('Lookup', () => ({ plan: { hit } })),
        Generate: dispatch,
        GenerateInBackfill: dispatch,
        Commit: handler('Commit', () => ({})),
        Fail: handler('Fail', () => ({})),
      },
      retryPauses: { Embed: 0, Lookup: 0, Commit: 0, Generate: 0 },
    });
  }

  async function nextMessage(): Promise<GenerateMessage> {
    return (await queue.receive(5, 60))!.message;
  }

  it('runs a miss through the worker', async () => {
    // Prepare
    const engine = engineOn();
    await engine.start(request, 1);

    // Act
    const message = await nextMessage();
    await engine.callbacks.sendTaskSuccess(message.taskToken, RESULT);
    const outcome = await engine.outcome(request.videoId);

    // Assess
    expect(outcome).toMatchObject({ status: 'SUCCEEDED' });
    expect(calls).toEqual(['Embed', 'Lookup', 'Commit']);
    expect(message).toEqual({
      taskToken: expect.any(String),
      request,
      plan: { hit: 'miss' },
      embedding: {},
      sentAt: expect.any(Number),
    });
    expect(inputs['Commit']).toEqual({
      request,
      embed: { embedding: {} },
      lookup: { plan: { hit: 'miss' } },
      generation: RESULT,
    });
  });

  it('waits for a worker of backfills in a state of its own, which waits longer', async () => {
    // Prepare
    const started: string[] = [];
    const engine = engineOn(DEFINITION, (_, state) => started.push(state));
    const ofBackfill = { ...request, pool: 'backfill' as const };
    await engine.start(ofBackfill, 1);

    // Act
    const message = await nextMessage();
    await engine.callbacks.sendTaskSuccess(message.taskToken, RESULT);
    const outcome = await engine.outcome(request.videoId);

    // Assess
    expect(outcome).toMatchObject({ status: 'SUCCEEDED' });
    expect(message.request).toEqual(ofBackfill);
    expect(started).toEqual(['Embed', 'Lookup', 'GenerateInBackfill', 'Commit']);
  });

  it('asks no worker on an exact hit', async () => {
    // Prepare
    hit = 'exact';
    const engine = engineOn();

    // Act
    await engine.start(request, 1);
    await engine.outcome(request.videoId);

    // Assess
    expect(calls).toEqual(['Embed', 'Lookup', 'Commit']);
    expect(inputs['Commit']).not.toHaveProperty('generation');
    expect(await queue.receive(0, 60)).toBeNull();
  });

  it('tries again after an error that may pass', async () => {
    // Prepare
    hit = 'exact';
    const slower = new FlexCacheError('throttled', 'slower', { transient: true });
    failures['Lookup'] = [new TaskError(slower), new TaskError(slower)];
    const engine = engineOn();

    // Act
    await engine.start(request, 1);
    const outcome = await engine.outcome(request.videoId);

    // Assess
    expect(outcome).toMatchObject({ status: 'SUCCEEDED' });
    expect(calls).toEqual(['Embed', 'Lookup', 'Lookup', 'Lookup', 'Commit']);
  });

  it('tries four times more and no longer', async () => {
    // Prepare
    const slower = new FlexCacheError('throttled', 'slower', { transient: true });
    failures['Embed'] = Array.from({ length: 9 }, () => new TaskError(slower));
    const engine = engineOn();

    // Act
    await engine.start(request, 1);
    const outcome = await engine.outcome(request.videoId);

    // Assess
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'Transient' });
    expect(calls.filter((name) => name === 'Embed')).toHaveLength(5);
  });

  it('brings an error that stays to Fail, in the words of Lambda', async () => {
    // Prepare
    failures['Lookup'] = [new TaskError(new FlexCacheError('permission_denied', 'no access'))];
    const engine = engineOn();

    // Act
    await engine.start(request, 1);
    const outcome = await engine.outcome(request.videoId);

    // Assess
    const cause = JSON.stringify({
      errorType: 'permission_denied',
      errorMessage: 'permission_denied: no access',
    });
    expect(calls).toEqual(['Embed', 'Lookup', 'Fail']);
    expect(inputs['Fail']).toMatchObject({ error: { Error: 'permission_denied', Cause: cause } });
    expect(outcome).toEqual({ status: 'FAILED', error: 'permission_denied', cause });
  });

  it("brings a worker's failure to Fail", async () => {
    // Prepare
    const engine = engineOn();
    await engine.start(request, 1);
    const { taskToken } = await nextMessage();

    // Act
    await engine.callbacks.sendTaskFailure(taskToken, 'gpu_missing', 'no device');
    await engine.outcome(request.videoId);

    // Assess
    expect(calls).toEqual(['Embed', 'Lookup', 'Fail']);
    expect(inputs['Fail']).toMatchObject({
      error: { Error: 'gpu_missing', Cause: 'no device' },
      embed: {},
      lookup: {},
    });
  });

  it('finds the execution that runs already and starts no second', async () => {
    // Prepare
    const engine = engineOn();
    await engine.start(request, 1);
    const { taskToken } = await nextMessage();

    // Act
    await engine.start({ ...request }, 1);
    const other = engine.start({ ...request, prompt: 'another' }, 1);

    // Assess
    await expect(other).rejects.toMatchObject({ code: 'condition_failed' });
    await engine.callbacks.sendTaskSuccess(taskToken, RESULT);
    await engine.outcome(request.videoId);
    expect(calls).toEqual(['Embed', 'Lookup', 'Commit']);
  });

  it('cancels what waits in the queue at once and leaves a worker to end what it began', async () => {
    // Prepare
    const engine = engineOn();
    const begun = sampleRequest();
    await engine.start(begun, 1);
    const { taskToken } = await nextMessage();
    await engine.callbacks.sendTaskHeartbeat(taskToken);
    await engine.start(request, 1);
    await nextMessage();

    // Act
    await engine.stop(request.videoId);
    await engine.stop(begun.videoId);
    const cancelled = await engine.outcome(request.videoId);
    await engine.callbacks.sendTaskSuccess(taskToken, RESULT);

    // Assess
    expect(cancelled).toMatchObject({ status: 'FAILED', error: 'cancelled' });
    expect(await engine.outcome(begun.videoId)).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('closes without ending the jobs of what it stops', async () => {
    // Prepare
    const engine = engineOn();
    await engine.start(request, 1);
    const { taskToken } = await nextMessage();
    const outcome = engine.outcome(request.videoId);

    // Act
    await engine.close();

    // Assess
    expect(await outcome).toEqual({ status: 'ABORTED' });
    expect(calls).toEqual(['Embed', 'Lookup']);
    await expect(engine.callbacks.sendTaskHeartbeat(taskToken)).rejects.toThrow(TaskGoneError);
  });

  it('carries no more between states than Step Functions does', async () => {
    // Prepare
    const engine = engineOn();
    await engine.start(request, 1);
    const { taskToken } = await nextMessage();

    // Act
    const tooLarge = { ...RESULT, videoKey: 'x'.repeat(262_144) };
    await engine.callbacks.sendTaskSuccess(taskToken, tooLarge);

    // Assess
    expect(await engine.outcome(request.videoId)).toMatchObject({
      status: 'FAILED',
      error: 'States.DataLimitExceeded',
    });
    expect(calls).not.toContain('Fail');
  });

  it('refuses a definition with a task that nothing handles', () => {
    // Prepare
    const { Lookup: lookup, ...others } = DEFINITION.States;
    const renamed = { ...others, Search: lookup };

    // Assess
    expect(() =>
      engineOn({
        ...DEFINITION,
        States: { ...renamed, Embed: { ...others['Embed'], Next: 'Search' } },
      }),
    ).toThrow(/state Search has no handler/);
  });
});
