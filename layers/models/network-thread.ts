import { CallThread, threadFile } from './call-thread.ts';
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

const THREAD_FILE = threadFile(import.meta.url, 'network-thread-main');

/**
 * Networks in a worker thread, so that a call leaves the event loop free.
 *
 * A thread that dies fails its calls; the next call starts another thread.
 */
export class NetworkThread implements NetworkRunner {
  readonly #thread: CallThread<ThreadTask, NetworkTensors>;

  constructor(
    paths: Partial<Record<NetworkName, string>>,
    options: OnnxOptions = {},
    file: URL = THREAD_FILE,
  ) {
    this.#thread = new CallThread(file, 'model', { paths, options } satisfies ThreadData);
  }

  /** Inputs are copied: callers keep theirs, and they are small beside the network's own work. */
  run(
    network: NetworkName,
    inputs: NetworkInputs,
    options: RunOptions = {},
  ): Promise<NetworkTensors> {
    return this.#thread.call({ kind: 'run', network, inputs, options });
  }

  async gather(names: readonly string[], axis: number, indices: readonly number[]): Promise<void> {
    await this.#thread.call({ kind: 'gather', names, axis, indices });
  }

  async release(names: readonly string[]): Promise<void> {
    // A thread that is gone keeps nothing.
    if (this.#thread.isRunning) await this.#thread.call({ kind: 'release', names });
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}
