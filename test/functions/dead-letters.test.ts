import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { beforeEach, expect, it } from 'vitest';
import { FlexCacheError } from '#core/errors.ts';
import { createDeadLettersHandler } from '#functions/dead-letters/handler.ts';
import type { TelemetryEvent } from '#functions/telemetry.ts';
import { TaskGoneError } from '#stores/errors.ts';
import { sampleMessage } from '../stores/samples.ts';

let answers: [token: string, error: string, cause: string][];
let logged: TelemetryEvent[];
let failure: Error | null;

beforeEach(() => {
  answers = [];
  logged = [];
  failure = null;
});

const handle = createDeadLettersHandler({
  callbacks: {
    sendTaskFailure: async (...answer) => {
      answers.push(answer);
      if (failure !== null) throw failure;
    },
  },
  telemetry: { log: (event) => logged.push(event) },
});

function eventOf(...bodies: string[]): SQSEvent {
  return {
    Records: bodies.map((body, index) => ({ body, messageId: `m${index}` }) as SQSRecord),
  };
}

it('fails the request of a dead letter with a reason and what to do', async () => {
  // Prepare
  const message = sampleMessage();

  // Act
  const answer = await handle(eventOf(JSON.stringify(message)));

  // Assess
  expect(answer).toEqual({ batchItemFailures: [] });
  expect(answers).toEqual([
    [message.taskToken, 'internal', expect.stringContaining('submit the request again')],
  ]);
  expect(logged).toMatchObject([{ event: 'dead_letter', videoId: message.request.videoId }]);
});

it('is content when nobody waits for the answer any more', async () => {
  // Prepare
  failure = new TaskGoneError();

  // Act
  const answer = await handle(eventOf(JSON.stringify(sampleMessage())));

  // Assess
  expect(answer).toEqual({ batchItemFailures: [] });
});

it.each(['not JSON', 'null', '[]', '{"taskToken":7}', '{"taskToken":""}'])(
  'drops %s, and says so without its content',
  async (body) => {
    // Act
    const answer = await handle(eventOf(body));

    // Assess
    expect(answer).toEqual({ batchItemFailures: [] });
    expect(answers).toEqual([]);
    expect(logged).toEqual([
      { level: 'error', event: 'dead_letter_unreadable', messageId: 'm0', bytes: body.length },
    ]);
  },
);

it('gives back what could not be answered, and only that', async () => {
  // Prepare
  failure = new FlexCacheError('throttled', 'slower', { transient: true });

  // Act
  const answer = await handle(eventOf('not JSON', JSON.stringify(sampleMessage())));

  // Assess
  expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'm1' }] });
});
