import { parentPort, Worker, type Transferable } from 'node:worker_threads';
import { FlexCacheError, type ErrorCode } from '#core/errors.ts';

/** A call on its way to a thread. */
interface Call<Request> {
  id: number;
  request: Request;
}

/** An error's fields: an error's class does not survive the way between threads. */
interface ThreadError {
  code: ErrorCode;
  message: string;
  field: string | undefined;
  fix: string | undefined;
}

type Reply<Response> = { id: number; response: Response } | { id: number; error: ThreadError };

interface PendingCall<Response> {
  resolve(response: Response): void;
  reject(error: Error): void;
}

/**
 * A worker thread that answers calls, so that long work leaves the event loop free. It starts with the
 * first call and keeps the process alive only while it works. Calls of a thread that dies fail; the
 * next call starts another thread.
 */
export class CallThread<Request, Response> {
  readonly #file: URL;
  readonly #name: string;
  readonly #data: unknown;
  readonly #pending = new Map<number, PendingCall<Response>>();
  #worker: Worker | null = null;
  #starts = 0;
  #nextId = 0;
  #closed = false;

  /**
   * @param file a module that calls `serveCalls`
   * @param name for errors, such as `model`
   * @param data what the thread finds as its `workerData`
   */
  constructor(file: URL, name: string, data?: unknown) {
    this.#file = file;
    this.#name = name;
    this.#data = data;
  }

  /** Whether there is a thread, with whatever it keeps. */
  get isRunning(): boolean {
    return this.#worker !== null && !this.#closed;
  }

  /** How many threads there were, this one included: what an earlier one kept is gone. */
  get starts(): number {
    return this.#starts;
  }

  /** Calls that wait for their answer. */
  get waiting(): number {
    return this.#pending.size;
  }

  /**
   * Requests are copied: callers keep theirs, but for what is transferred.
   *
   * @param transferred buffers of the request that move to the thread
   * @throws FlexCacheError of the thread's work, or `internal` when the thread dies or was closed.
   */
  call(request: Request, transferred: readonly Transferable[] = []): Promise<Response> {
    if (this.#closed) {
      return Promise.reject(new FlexCacheError('internal', `the ${this.#name} was closed`));
    }
    const worker = (this.#worker ??= this.#start());
    const call: Call<Request> = { id: this.#nextId++, request };
    return new Promise((resolve, reject) => {
      this.#pending.set(call.id, { resolve, reject });
      this.#updateReference(worker);
      worker.postMessage(call, transferred);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
  }

  #start(): Worker {
    this.#starts++;
    const worker = new Worker(this.#file, { workerData: this.#data });
    worker.on('message', (reply: Reply<Response>) => this.#settle(worker, reply));
    worker.on('error', (cause) => {
      this.#abandon(
        worker,
        new FlexCacheError('internal', `the ${this.#name} thread crashed: ${cause.message}`, {
          cause,
        }),
      );
    });
    worker.on('exit', (code) => {
      const message = this.#closed
        ? `the ${this.#name} was closed during a call`
        : `the ${this.#name} thread stopped with exit code ${code}`;
      this.#abandon(worker, new FlexCacheError('internal', message));
    });
    return worker;
  }

  #settle(worker: Worker, reply: Reply<Response>): void {
    const call = this.#pending.get(reply.id);
    if (call === undefined) return;
    this.#pending.delete(reply.id);
    this.#updateReference(worker);
    if ('response' in reply) {
      call.resolve(reply.response);
      return;
    }
    const { code, message, field, fix } = reply.error;
    call.reject(
      new FlexCacheError(code, message, {
        ...(field === undefined ? {} : { field }),
        ...(fix === undefined ? {} : { fix }),
      }),
    );
  }

  #abandon(worker: Worker, error: FlexCacheError): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of calls) call.reject(error);
  }

  /** An idle thread must not keep the process alive; a busy one must. */
  #updateReference(worker: Worker): void {
    if (this.#pending.size > 0) worker.ref();
    else worker.unref();
  }
}

/** Where a module beside the importing one is: bundled, both are JavaScript. */
export function threadFile(importer: string, name: string): URL {
  return new URL(`./${name}.${importer.endsWith('.ts') ? 'ts' : 'js'}`, importer);
}

/**
 * The thread's side: answers every call with what `answer` makes of its request.
 *
 * @param transferred buffers of a response that move to the caller instead of being copied
 */
export function serveCalls<Request, Response>(
  answer: (request: Request) => Promise<Response>,
  transferred: (response: Response) => Transferable[],
): void {
  const port = parentPort!;
  port.on('message', ({ id, request }: Call<Request>) => {
    answer(request).then(
      (response) =>
        port.postMessage({ id, response } satisfies Reply<Response>, transferred(response)),
      (error: unknown) =>
        port.postMessage({ id, error: describe(error) } satisfies Reply<Response>),
    );
  });
}

function describe(error: unknown): ThreadError {
  if (error instanceof FlexCacheError) {
    const { code, message, field, fix } = error;
    return { code, message, field, fix };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message, field: undefined, fix: undefined };
}
