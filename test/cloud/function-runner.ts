import { SendTaskFailureCommand, SendTaskSuccessCommand, SFNClient } from '@aws-sdk/client-sfn';
import { DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { motoClientOptions } from '../moto.ts';

export type Handler = (payload: never) => Promise<unknown>;

/** States whose function answers by itself, or lets somebody else answer. */
const ANSWERED_BY_OTHERS: ReadonlySet<string> = new Set(['Generate']);

/** Stands in for Lambda: takes each call from the queue, runs the state's function, answers the token. */
export class FunctionRunner {
  readonly calls: { state: string; isError: boolean }[] = [];
  readonly #handlers: Readonly<Record<string, Handler>>;
  readonly #queueUrl: string;
  readonly #sqs: SQSClient;
  readonly #sfn: SFNClient;
  readonly #shutdown = new AbortController();
  /** By video id. */
  readonly #causes = new Map<string, string>();
  #running: Promise<void> = Promise.resolve();

  constructor(endpoint: string, queueUrl: string, handlers: Readonly<Record<string, Handler>>) {
    const options = motoClientOptions(endpoint);
    this.#sqs = new SQSClient(options);
    this.#sfn = new SFNClient(options);
    this.#queueUrl = queueUrl;
    this.#handlers = handlers;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#shutdown.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#shutdown.signal.aborted) {
      const { Messages: [message] = [] } = await this.#sqs.send(
        new ReceiveMessageCommand({ QueueUrl: this.#queueUrl, WaitTimeSeconds: 1 }),
      );
      if (!message) continue;
      await this.#call(JSON.parse(message.Body!) as Call);
      await this.#sqs.send(
        new DeleteMessageCommand({
          QueueUrl: this.#queueUrl,
          ReceiptHandle: message.ReceiptHandle!,
        }),
      );
    }
  }

  async #call({ state, taskToken, payload }: Call): Promise<void> {
    const handler = this.#handlers[state];
    if (handler === undefined) throw new Error(`there is no function for state ${state}`);
    try {
      const output = await handler(this.#withCause(payload) as never);
      this.calls.push({ state, isError: false });
      if (ANSWERED_BY_OTHERS.has(state)) return;
      await this.#sfn.send(
        new SendTaskSuccessCommand({ taskToken, output: JSON.stringify(output ?? null) }),
      );
    } catch (error) {
      const { name, message } = error as Error;
      this.calls.push({ state, isError: true });
      // As Lambda reports it.
      const cause = JSON.stringify({ errorType: name, errorMessage: message });
      this.#causes.set(payload.request.videoId, cause);
      await this.#sfn.send(new SendTaskFailureCommand({ taskToken, error: name, cause }));
    }
  }

  /** moto 5.2 loses the cause of a failed task on its way. */
  #withCause(payload: Payload): Payload {
    const { error, request } = payload;
    if (error === undefined || error.Cause !== null) return payload;
    return { ...payload, error: { ...error, Cause: this.#causes.get(request.videoId) ?? '' } };
  }
}

interface Payload {
  request: { videoId: string };
  error?: { Error: string; Cause: string | null };
}

interface Call {
  state: string;
  taskToken: string;
  payload: Payload;
}
