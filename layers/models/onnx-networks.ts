import { availableParallelism } from 'node:os';
import * as ort from 'onnxruntime-node';
import { FlexCacheError } from '#core/errors.ts';
import { elementCount } from '#core/latents/tensor.ts';
import { checkProviderLibraries, type ExecutionProvider } from './execution-provider.ts';
import { guide } from './guidance.ts';
import { InputRows } from './input-rows.ts';
import { inGib, type NetworkMemory } from './gpu-memory.ts';
import { KeptTensors } from './kept-tensors.ts';
import type { NetworkName } from './manifest.ts';
import type { NetworkSignature, TensorSignature } from './network-signature.ts';

/** Whatever goes wrong is in the error that is thrown: nothing is written to the terminal beside it. */
ort.env.logLevel = 'fatal';
const LOG_FATAL_ONLY = 4;

/**
 * Networks whose threads wait for the next operator in a loop. That is faster for many small operators:
 * a quarter for the demo's denoiser on two free cores. For a convolutional decoder it is slower by a tenth,
 * and it takes cores from whatever else works, such as the video's encoder (docs/media.md).
 */
const SPINNING: ReadonlySet<NetworkName> = new Set(['denoiser']);

export interface OnnxOptions {
  /** `cpu` unless said. A provider that is not there is an error, never a silent fallback. */
  executionProvider?: ExecutionProvider;
  /** Threads of one network call; every available core unless said. */
  intraOpThreads?: number;
  /** Networks that do not fit beside each other take turns; all that were run stay loaded unless given. */
  memory?: NetworkMemory;
}

/**
 * An input or output of a network: float32 values, or int64 for token ids and masks. Keys and values that are kept for
 * later runs may be float16, by their bits.
 */
export interface NetworkTensor {
  data: Float32Array | BigInt64Array | Uint16Array;
  shape: readonly number[];
}

export type NetworkTensors = Record<string, NetworkTensor>;

/** An output of an earlier run that stayed where networks run, by the name that was given to it. */
export interface KeptTensor {
  kept: string;
}

/** Rows that the caller hands over, and does not touch again: they move instead of being copied. */
export interface HandedTensor {
  /** In a buffer of its own. */
  handed: NetworkTensor;
  /** How many times over, one after the other, the network gets all rows. */
  times: number;
}

/** Rows that never change, without the extent of the batch: each is sent once, and stays where networks run for a while. */
export interface ConstantRows {
  constants: readonly NetworkTensor[];
}

export type NetworkInput = NetworkTensor | KeptTensor | HandedTensor | ConstantRows;

export type NetworkInputs = Record<string, NetworkInput>;

/** An output whose second half of rows is what guidance leads away from (`guide`): half as many rows are handed back. */
export interface GuidedOutput {
  output: string;
  scale: number;
  /** The input that was handed over, as large as the result, whose memory the result takes. */
  into: string;
}

export interface RunOptions {
  /** Outputs that are handed back; all unless said. */
  outputs?: readonly string[];
  /** Outputs that stay where networks run, and the name of each: what is large is never copied out. */
  keep?: Readonly<Record<string, string>>;
  guided?: GuidedOutput;
}

/** Runs the networks of one package. `OnnxNetworks` does it here, `NetworkThread` in a worker thread. */
export interface NetworkRunner {
  /**
   * @throws FlexCacheError `model_missing` when the package has no such network, `internal` when an input
   * is not kept.
   */
  run(network: NetworkName, inputs: NetworkInputs, options?: RunOptions): Promise<NetworkTensors>;
  /** Replaces kept tensors by what they have at some indices of an axis, in the order of the indices. */
  gather(names: readonly string[], axis: number, indices: readonly number[]): Promise<void>;
  /** Forgets kept tensors; names of none are no error. */
  release(names: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Networks in this thread, each loaded when it is first run. A run blocks the event loop: everything
 * but a Lambda that does nothing else wants `NetworkThread`.
 */
export class OnnxNetworks implements NetworkRunner {
  readonly #paths: Partial<Record<NetworkName, string>>;
  readonly #options: Required<Omit<OnnxOptions, 'memory'>>;
  readonly #memory: NetworkMemory | null;
  /** In the order of last use. */
  readonly #sessions = new Map<NetworkName, ort.InferenceSession>();
  readonly #kept = new KeptTensors();
  readonly #rows = new InputRows();
  /** Ends with the last work so far. It keeps the thread busy anyway, and a run has the memory of its rows for itself. */
  #turn: Promise<void> = Promise.resolve();

  constructor(paths: Partial<Record<NetworkName, string>>, options: OnnxOptions = {}) {
    this.#paths = paths;
    this.#memory = options.memory ?? null;
    this.#options = {
      executionProvider: options.executionProvider ?? 'cpu',
      intraOpThreads: options.intraOpThreads ?? availableParallelism(),
    };
  }

  /**
   * Loads a network without running it.
   *
   * @throws FlexCacheError `gpu_missing`, `model_missing` or `model_corrupt`.
   */
  async load(network: NetworkName): Promise<void> {
    await this.#inTurn(async () => {
      await this.#session(network);
    });
  }

  /** Networks that are loaded now. */
  get loaded(): NetworkName[] {
    return [...this.#sessions.keys()];
  }

  /**
   * What a network takes and gives by its own graph. An extent that differs from run to run has a name.
   *
   * @throws FlexCacheError as `load` does.
   */
  async signature(network: NetworkName): Promise<NetworkSignature> {
    const { inputMetadata, outputMetadata } = await this.#session(network);
    return {
      inputs: inputMetadata.map(tensorSignature),
      outputs: outputMetadata.map(tensorSignature),
    };
  }

  async run(
    network: NetworkName,
    inputs: NetworkInputs,
    options: RunOptions = {},
  ): Promise<NetworkTensors> {
    return this.#inTurn(async () =>
      this.#run(network, await this.#session(network), inputs, options),
    );
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const working = this.#turn.then(work);
    this.#turn = working.then(
      () => {},
      () => {},
    );
    return working;
  }

  async #run(
    network: NetworkName,
    session: ort.InferenceSession,
    inputs: NetworkInputs,
    { outputs, keep = {}, guided }: RunOptions,
  ): Promise<NetworkTensors> {
    const feeds: Record<string, ort.Tensor> = {};
    for (const [name, input] of Object.entries(inputs)) {
      feeds[name] = ortTensor(this.#tensorOf(`${network} ${name}`, input));
    }
    let results: ort.InferenceSession.ReturnType;
    try {
      // What is not asked for is not copied out of the session.
      results =
        outputs === undefined
          ? await session.run(feeds)
          : await session.run(feeds, [...outputs, ...Object.keys(keep)]);
    } catch (error) {
      throw new FlexCacheError('internal', `network ${network} failed: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const found: NetworkTensors = {};
    for (const [name, tensor] of Object.entries(results)) {
      const keptAs = keep[name];
      if (keptAs !== undefined) {
        this.#kept.set(keptAs, keptOutput(network, name, tensor));
        continue;
      }
      const output = float32Output(network, name, tensor);
      found[name] = guided?.output === name ? guidedInto(output, guided, inputs) : output;
    }
    return found;
  }

  #tensorOf(place: string, input: NetworkInput): NetworkTensor {
    if ('kept' in input) return this.#kept.get(input.kept);
    if ('handed' in input) return this.#rows.repeat(place, input.handed, input.times);
    if ('constants' in input) return this.#rows.stack(place, input.constants);
    return input;
  }

  async gather(names: readonly string[], axis: number, indices: readonly number[]): Promise<void> {
    this.#kept.gather(names, axis, indices);
  }

  async release(names: readonly string[]): Promise<void> {
    this.#kept.release(names);
  }

  async #session(network: NetworkName): Promise<ort.InferenceSession> {
    let session = this.#sessions.get(network);
    if (session === undefined) {
      await this.#makeRoom(network);
      session = await this.#load(network);
    }
    this.#sessions.delete(network);
    this.#sessions.set(network, session);
    return session;
  }

  /** Unloads networks, those first that were not run for the longest, until this one fits beside the others. */
  async #makeRoom(network: NetworkName): Promise<void> {
    if (this.#memory === null) return;
    const { bytes, needs } = this.#memory;
    const needOf = (name: NetworkName): number => needs[name] ?? 0;
    let free = bytes - this.loaded.reduce((sum, name) => sum + needOf(name), 0);
    for (const [name, session] of this.#sessions) {
      if (free >= needOf(network)) return;
      this.#sessions.delete(name);
      await session.release();
      free += needOf(name);
    }
    if (free >= needOf(network)) return;
    throw new FlexCacheError(
      'gpu_missing',
      `network ${network} takes ${inGib(needOf(network))}, and ${inGib(bytes)} are there for networks`,
      { field: 'executionProvider', fix: 'use a GPU with more memory' },
    );
  }

  async #load(network: NetworkName): Promise<ort.InferenceSession> {
    const path = this.#paths[network];
    if (path === undefined) {
      throw new FlexCacheError('model_missing', `the model package has no network ${network}`, {
        field: `files.${network}`,
        fix: 'use a model package that brings this network',
      });
    }
    const { executionProvider, intraOpThreads } = this.#options;
    await checkProviderLibraries(executionProvider);
    try {
      return await ort.InferenceSession.create(path, {
        executionProviders: [executionProvider],
        intraOpNumThreads: intraOpThreads,
        extra: { session: { intra_op: { allow_spinning: SPINNING.has(network) ? '1' : '0' } } },
        logSeverityLevel: LOG_FATAL_ONLY,
      });
    } catch (error) {
      if (executionProvider !== 'cpu' && isProviderFailure(error)) {
        throw new FlexCacheError(
          'gpu_missing',
          `onnxruntime has no usable ${executionProvider} device: ${messageOf(error)}`,
          {
            field: 'executionProvider',
            fix: 'use the cpu provider, or install the driver and runtime of the GPU',
            cause: error,
          },
        );
      }
      throw new FlexCacheError(
        'model_corrupt',
        `network file ${path} cannot be loaded: ${messageOf(error)}`,
        { field: path, fix: 'fetch or export the model package again', cause: error },
      );
    }
  }

  async close(): Promise<void> {
    await this.#inTurn(async () => {
      const sessions = [...this.#sessions.values()];
      this.#sessions.clear();
      for (const session of sessions) await session.release();
    });
  }
}

function guidedInto(
  { data, shape }: NetworkTensor,
  { output, scale, into }: GuidedOutput,
  inputs: NetworkInputs,
): NetworkTensor {
  const input = inputs[into];
  const place = input !== undefined && 'handed' in input ? input.handed.data : null;
  if (!(place instanceof Float32Array) || place.length * 2 !== data.length) {
    throw new FlexCacheError(
      'model_corrupt',
      `${output} has ${data.length} values, which are not two for each of the input ${into}`,
      { field: 'files.denoiser', fix: 'export the model package again for its manifest' },
    );
  }
  guide(data as Float32Array, scale, place);
  return { data: place, shape: shape.with(0, shape[0]! / 2) };
}

/** Words of onnxruntime 1.30's messages when a provider's library or device is not there. */
const PROVIDER_FAILURE = /webgpu|adapter|cuda|provider|shared library|no available backend/i;

function isProviderFailure(error: unknown): boolean {
  return PROVIDER_FAILURE.test(messageOf(error));
}

function tensorSignature(metadata: ort.InferenceSession.ValueMetadata): TensorSignature {
  const { name } = metadata;
  return metadata.isTensor
    ? { name, type: metadata.type, shape: metadata.shape }
    : { name, type: 'not a tensor', shape: [] };
}

function ortTensor({ data, shape }: NetworkTensor): ort.Tensor {
  if (data instanceof Float32Array) return new ort.Tensor('float32', data, shape);
  if (data instanceof BigInt64Array) return new ort.Tensor('int64', data, shape);
  // As `ort.Tensor` holds it this would be a Float16Array, of which onnxruntime-node 1.30 copies nothing: its native side
  // reads these fields of whatever it is given, and knows the bits.
  return { type: 'float16', data, dims: shape, location: 'cpu' } as unknown as ort.Tensor;
}

/** An output as it is kept: float16 by its bits. */
function keptOutput(network: string, name: string, tensor: ort.Tensor): NetworkTensor {
  if (tensor.type !== 'float16') return float32Output(network, name, tensor);
  const { buffer, byteOffset } = tensor.data as ArrayBufferView<ArrayBuffer>;
  const shape = [...tensor.dims];
  return { data: new Uint16Array(buffer, byteOffset, elementCount(shape)), shape };
}

function float32Output(network: string, name: string, tensor: ort.Tensor): NetworkTensor {
  const { data, dims } = tensor;
  if (!(data instanceof Float32Array) || data.length !== elementCount(dims)) {
    throw new FlexCacheError(
      'model_corrupt',
      `output ${name} of network ${network} is ${tensor.type}, expected float32`,
      { field: `files.${network}`, fix: 'export the network with float32 outputs' },
    );
  }
  return { data, shape: [...dims] };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
