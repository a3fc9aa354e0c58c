import { beforeEach, describe, expect, it } from 'vitest';
import { drainDeadLetters, type DeadLetterServices } from '#functions/fleet/drain-dead-letters.ts';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { FlexCacheError } from '#core/errors.ts';
import { TaskGoneError } from '#ports/errors.ts';
import type { DeadLetter, DeadLetterQueue } from '#aws/dead-letter-queue.ts';
import { sampleMessage } from '../aws/samples.ts';

/** A queue whose letters are hidden once they were taken. */
class MemoryQueue implements DeadLetterQueue {
  readonly letters: DeadLetter[] = [];
  readonly kept = new Set<string>();
  isBroken = false;

  post(body: unknown): void {
    const id = `letter ${this.letters.length}`;
    this.letters.push({
      id,
      receipt: id,
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    this.kept.add(id);
  }

  async count(): Promise<number> {
    return this.letters.length;
  }

  async take(): Promise<DeadLetter[]> {
    if (this.isBroken) throw new FlexCacheError('throttled', 'slow down', { transient: true });
    return this.letters.splice(0, 10);
  }

  async drop(receipt: string): Promise<void> {
    this.kept.delete(receipt);
  }
}

const queues = {
  interactive: new MemoryQueue(),
  backfill: new MemoryQueue(),
  ends: new MemoryQueue(),
  webhooks: new MemoryQueue(),
};
let services: DeadLetterServices;
let failed: [token: string, code: string, cause: string][];
let told: unknown[];
let logged: TelemetryEvent[];
let measured: unknown[];
let callbackError: Error | null;

beforeEach(() => {
  for (const queue of Object.values(queues)) {
    queue.letters.length = 0;
    queue.kept.clear();
    queue.isBroken = false;
  }
  failed = [];
  told = [];
  logged = [];
  measured = [];
  callbackError = null;
  services = {
    deadLetters: { interactive: queues.interactive, backfill: queues.backfill },
    lostEnds: queues.ends,
    givenUpWebhooks: queues.webhooks,
    ends: {
      fail: async (ended) => void told.push(['fail', ended]),
      close: async (ended) => void told.push(['close', ended]),
    },
    callbacks: {
      sendTaskFailure: async (...answer) => {
        if (callbackError !== null) throw callbackError;
        failed.push(answer);
      },
    },
    telemetry: {
      log: (event) => void logged.push(event),
      measure: (...given) => void measured.push(given),
    },
  };
});

const ENDED = { Error: 'Execution.TIMED_OUT', Cause: '' };
const BACKFILL = 'bkf_01ARZ3NDEKTSV4RRFFQ69G5FAV';

describe('requests that no worker could answer', () => {
  it('are failed with a reason and what to do, however many there are', async () => {
    // Prepare
    const message = sampleMessage();
    for (let sent = 0; sent < 12; sent++) queues.interactive.post(message);
    queues.backfill.post(message);

    // Act
    await drainDeadLetters(services);

    // Assess
    expect(failed).toHaveLength(13);
    expect(failed[0]).toEqual([
      message.taskToken,
      'internal',
      expect.stringContaining('submit the request again'),
    ]);
    expect([...queues.interactive.kept, ...queues.backfill.kept]).toEqual([]);
    expect(logged).toContainEqual(
      expect.objectContaining({ event: 'dead_letter', videoId: message.request.videoId }),
    );
    expect(measured).toEqual([[{ deadLetters: 13 }, {}]]);
  });

  it('are dropped when nobody waits for the answer any more, and kept when it cannot be given', async () => {
    // Act
    callbackError = new TaskGoneError();
    queues.interactive.post(sampleMessage());
    await drainDeadLetters(services);
    const keptWhenGone = queues.interactive.kept.size;
    callbackError = new FlexCacheError('throttled', 'slow down', { transient: true });
    queues.interactive.post(sampleMessage());
    await drainDeadLetters(services);

    // Assess
    expect([keptWhenGone, queues.interactive.kept.size]).toEqual([0, 1]);
    expect(logged.at(-2)).toMatchObject({ level: 'warn', event: 'dead_letter_kept' });
  });

  it.each(['', 'no JSON', 'null', '{"taskToken": 7}'])('are none of ours: %s', async (body) => {
    // Act
    queues.interactive.post(body);
    await drainDeadLetters(services);

    // Assess
    expect(failed).toEqual([]);
    expect(queues.interactive.kept.size).toBe(0);
    expect(logged[0]).toMatchObject({ event: 'dead_letter_unreadable' });
  });
});

describe('the lost end of an execution', () => {
  it.each([
    [
      'Fail threw',
      { execution: 'vid_1', error: ENDED },
      ['fail', { execution: 'vid_1', error: ENDED }],
    ],
    [
      'Close threw',
      { backfillId: BACKFILL, error: ENDED },
      ['close', { backfillId: BACKFILL, error: ENDED }],
    ],
    [
      'Fail was not reached',
      { detail: { name: 'vid_1', status: 'TIMED_OUT' } },
      ['fail', { execution: 'vid_1', error: ENDED }],
    ],
    [
      'Close was not reached',
      { detail: { name: BACKFILL, status: 'TIMED_OUT' } },
      ['close', { backfillId: BACKFILL, error: ENDED }],
    ],
  ])('is told again where %s', async (_, deadLetter, again) => {
    // Act
    queues.ends.post(deadLetter);
    await drainDeadLetters(services);

    // Assess
    expect(told).toEqual([again]);
    expect(queues.ends.kept.size).toBe(0);
    expect(measured).toEqual([[{ deadLetters: 1 }, {}]]);
  });
});

it('counts announcements that were given up, and leaves them to a person', async () => {
  // Act
  queues.webhooks.post({});
  await drainDeadLetters(services);

  // Assess
  expect(measured).toEqual([[{ deadLetters: 1 }, {}]]);
  expect(queues.webhooks.kept.size).toBe(1);
});

it('says nothing where nothing went wrong, and looks into the others when one cannot be looked into', async () => {
  // Act
  await drainDeadLetters(services);
  const silence = [...logged, ...measured];
  queues.interactive.isBroken = true;
  queues.backfill.post(sampleMessage());
  const broken = drainDeadLetters(services);

  // Assess
  await expect(broken).rejects.toMatchObject({ code: 'throttled' });
  expect(silence).toEqual([]);
  expect(failed).toHaveLength(1);
});
