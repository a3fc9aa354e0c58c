import type { Transferable } from 'node:worker_threads';
import { CallThread, threadFile } from './call-thread.ts';
import type { NetworkName } from './manifest.ts';
import type {
  HandedTensor,
  KeptTensor,
  NetworkInputs,
  NetworkRunner,
  NetworkTensor,
  NetworkTensors,
  OnnxOptions,
  RunOptions,
} from './onnx-networks.ts';
import { SentConstants, type ConstantChanges } from './sent-constants.ts';

/** What a thread is started with. */
export interface ThreadData {
  paths: Partial<Record<NetworkName, string>>;
  options: OnnxOptions;
}

/** Inputs on their way to a thread: rows that never change go by the names that it knows them by. */
export type SentInputs = Record<
  string,
  NetworkTensor | KeptTensor | HandedTensor | { constantNames: readonly string[] }
>;

/** What a thread is asked to do. */
export type ThreadTask =
  | {
      kind: 'run';
      network: NetworkName;
      inputs: SentInputs;
      options: RunOptions;
      constants: ConstantChanges;
    }
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
  readonly #constants = new SentConstants();
  /** The thread that has them. */
  #constantsIn = 0;

  constructor(
    paths: Partial<Record<NetworkName, string>>,
    options: OnnxOptions = {},
    file: URL = THREAD_FILE,
  ) {
    this.#thread = new CallThread(file, 'model', { paths, options } satisfies ThreadData);
  }

  /** Inputs are copied, but those that are handed over or constant: callers keep theirs. */
  run(
    network: NetworkName,
    inputs: NetworkInputs,
    options: RunOptions = {},
  ): Promise<NetworkTensors> {
    const { isRunning, starts } = this.#thread;
    if (!isRunning || starts !== this.#constantsIn) this.#constants.clear();
    const constants: ConstantChanges = { added: {}, forgotten: [] };
    const handed: Transferable[] = [];
    const used = new Set<string>();
    const sent: SentInputs = {};
    for (const [name, input] of Object.entries(inputs)) {
      if ('constants' in input) {
        const constantNames = this.#constants.namesOf(input.constants, constants);
        for (const each of constantNames) used.add(each);
        sent[name] = { constantNames };
      } else {
        if ('handed' in input) handed.push(input.handed.data.buffer as ArrayBuffer);
        sent[name] = input;
      }
    }
    this.#constants.forgetOldest(used, constants);
    const task: ThreadTask = { kind: 'run', network, inputs: sent, options, constants };
    const answer = this.#thread.call(task, handed);
    this.#constantsIn = this.#thread.starts;
    return answer;
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
