import { Worker } from 'node:worker_threads';
import { FlexCacheError, type ErrorCode } from '#core/errors.ts';
import type { NetworkName } from './manifest.ts';
import type {
  NetworkInputs,
  NetworkRunner,
  NetworkTensors,
  OnnxOptions,
  RunOptions,
} from './onnx-networks.ts';

/** What a thread is started with. */
export interface ThreadData {
  paths: Partial<Record<NetworkName, string>>;
  options: OnnxOptions;
}

/** What a thread is asked to do. */
export type ThreadTask =
  | { kind: 'run'; network: NetworkName; inputs: NetworkInputs; options: RunOptions }
  | { kind: 'gather'; names: readonly string[]; axis: number; indices: readonly number[] }
  | { kind: 'release'; names: readonly string[] };

export type ThreadRequest = ThreadTask & { id: number };

/** An error's fields: an error's class does not survive the way between threads. */
export interface ThreadError {
  code: ErrorCode;
  message: string;
  field: string | undefined;
  fix: string | undefined;
}

export type ThreadResponse =
  { id: number; outputs: NetworkTensors } | { id: number; error: ThreadError };

interface PendingCall {
  resolve(outputs: NetworkTensors): void;
  reject(error: Error): void;
}

/** Bundled, both files are JavaScript and lie side by side. */
const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const THREAD_FILE = new URL(`./network-thread-main.${EXTENSION}`, import.meta.url);

/**
 * Networks in a worker thread, so that a call leaves the event loop free.
 *
 * A thread that dies fails its calls; the next call starts another thread.
 */
export class NetworkThread implements NetworkRunner {
  readonly #data: ThreadData;
  readonly #threadFile: URL;
  readonly #pending = new Map<number, PendingCall>();
  #worker: Worker | null = null;
  #nextId = 0;
  #closed = false;

  constructor(
    paths: Partial<Record<NetworkName, string>>,
    options: OnnxOptions = {},
    threadFile: URL = THREAD_FILE,
  ) {
    this.#data = { paths, options };
    this.#threadFile = threadFile;
  }

  run(
    network: NetworkName,
    inputs: NetworkInputs,
    options: RunOptions = {},
  ): Promise<NetworkTensors> {
    return this.#ask({ kind: 'run', network, inputs, options });
  }

  async gather(names: readonly string[], axis: number, indices: readonly number[]): Promise<void> {
    await this.#ask({ kind: 'gather', names, axis, indices });
  }

  async release(names: readonly string[]): Promise<void> {
    // A thread that is gone keeps nothing.
    if (this.#worker !== null && !this.#closed) await this.#ask({ kind: 'release', names });
  }

  #ask(task: ThreadTask): Promise<NetworkTensors> {
    if (this.#closed) {
      return Promise.reject(new FlexCacheError('internal', 'the model was closed'));
    }
    const worker = (this.#worker ??= this.#start());
    const request: ThreadRequest = { ...task, id: this.#nextId++ };
    return new Promise((resolve, reject) => {
      this.#pending.set(request.id, { resolve, reject });
      this.#updateReference(worker);
      // Inputs are copied: callers keep theirs, and they are small beside the network's own work.
      worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(this.#threadFile, { workerData: this.#data });
    worker.on('message', (response: ThreadResponse) => this.#settle(worker, response));
    worker.on('error', (cause) => {
      this.#abandon(
        worker,
        new FlexCacheError('internal', `the model thread crashed: ${cause.message}`, { cause }),
      );
    });
    worker.on('exit', (code) => {
      const message = this.#closed
        ? 'the model was closed during a call'
        : `the model thread stopped with exit code ${code}`;
      this.#abandon(worker, new FlexCacheError('internal', message));
    });
    return worker;
  }

  #settle(worker: Worker, response: ThreadResponse): void {
    const call = this.#pending.get(response.id);
    if (call === undefined) return;
    this.#pending.delete(response.id);
    this.#updateReference(worker);
    if ('outputs' in response) {
      call.resolve(response.outputs);
      return;
    }
    const { code, message, field, fix } = response.error;
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
