import type { TokenPatch } from '#core/region.ts';
import { elementCount, type Tensor } from '#core/tensor.ts';
import { concatenate } from './concatenate.ts';
import type { ModelManifest } from './manifest.ts';
import type { RegionDenoiser, TextCondition, TokenContext, VelocityRequest } from './model.ts';
import { callNetwork, withoutBatch } from './network-call.ts';
import type { NetworkInputs, NetworkRunner, NetworkTensor, RunOptions } from './onnx-networks.ts';

/** Axis of keys and values `[B, heads, tokens, width]` along which rows of the batch lie, and tokens. */
const ROWS_AXIS = 0;
const TOKENS_AXIS = 2;
/** The denoiser's output. */
const VELOCITY = 'velocity';

/** The denoiser of a package: of whole latents and, where the package's graph can, of some tokens alone. */
export class OnnxDenoiser {
  readonly #networks: NetworkRunner;
  readonly #shape: readonly number[];
  /** Null where the graph takes whole latents only. */
  readonly regions: OnnxRegionDenoiser | null;

  constructor(networks: NetworkRunner, { latent, regions }: ModelManifest) {
    this.#networks = networks;
    this.#shape = [latent.channels, latent.frames, latent.height, latent.width];
    this.regions =
      regions === undefined ? null : new OnnxRegionDenoiser(networks, this.#shape, regions);
  }

  /** See `VideoModel.velocities`. */
  async velocities(
    requests: readonly VelocityRequest[],
    unconditional: TextCondition,
    guidance: number,
  ): Promise<Tensor[]> {
    if (requests.length === 0) return [];
    const { rows, inputs, guided } = denoiserCall(requests, unconditional, guidance);
    const velocities = await callNetwork(
      this.#networks,
      'denoiser',
      { ...inputs, ...this.regions?.allTokens(rows) },
      VELOCITY,
      [requests.length, ...this.#shape],
      { ...(guided && { guided }) },
    );
    return rowsOf(velocities);
  }
}

/** A graph that evaluates chosen tokens, which read each other and the keys and values of others. */
export class OnnxRegionDenoiser implements RegionDenoiser {
  readonly patch: TokenPatch;
  readonly isTrained: boolean;
  readonly #networks: NetworkRunner;
  readonly #shape: readonly number[];
  readonly #regions: NonNullable<ModelManifest['regions']>;
  readonly #tokens: readonly number[];
  #contexts = 0;

  constructor(
    networks: NetworkRunner,
    shape: readonly number[],
    regions: NonNullable<ModelManifest['regions']>,
  ) {
    const [frames, height, width] = regions.patch;
    this.patch = { frames, height, width };
    this.isTrained = regions.trained;
    this.#networks = networks;
    this.#shape = shape;
    this.#regions = regions;
    const count = elementCount(shape.slice(1)) / elementCount(regions.patch);
    this.#tokens = Array.from({ length: count }, (_, token) => token);
  }

  async velocityAndContext(
    request: VelocityRequest,
    unconditional: TextCondition,
    guidance: number,
  ): Promise<{ velocity: Tensor; context: TokenContext }> {
    const call = denoiserCall([request], unconditional, guidance);
    const context = this.#newContext();
    try {
      const velocity = await this.#velocity(call, this.allTokens(call.rows), context.keep);
      return { velocity, context };
    } catch (error) {
      await context.release();
      throw error;
    }
  }

  async cleanContext(
    clean: Tensor,
    tokens: readonly number[],
    unconditional: TextCondition,
    guidance: number,
  ): Promise<TokenContext> {
    const request = { latent: clean, time: 0, condition: unconditional };
    const inputs = {
      ...denoiserCall([request], unconditional, 1).inputs,
      ...this.#noContext(1),
      live: liveInput(1, tokens),
    };
    const context = this.#newContext();
    await this.#networks.run('denoiser', inputs, { outputs: [], keep: context.keep });
    // The same for both rows of a guided evaluation.
    if (guidance !== 1) await this.#networks.gather(context.names, ROWS_AXIS, [0, 0]);
    return context;
  }

  /** Inputs that make all tokens live. */
  allTokens(batch: number): NetworkInputs {
    return { ...this.#noContext(batch), live: liveInput(batch, this.#tokens) };
  }

  #noContext(batch: number): NetworkInputs {
    const { heads, headWidth } = this.#regions;
    const none = { data: new Float32Array(0), shape: [batch, heads, 0, headWidth] };
    return Object.fromEntries(this.#perBlock((name) => [`context_${name}`, none]));
  }

  #perBlock<T>(make: (name: string) => T): T[] {
    return Array.from({ length: this.#regions.blocks }, (_, block) => [
      make(`keys_${block}`),
      make(`values_${block}`),
    ]).flat();
  }

  /** The velocity of the one request of a call. */
  async #velocity(
    { inputs, guided }: DenoiserCall,
    tokens: NetworkInputs,
    keep: Readonly<Record<string, string>> = {},
  ): Promise<Tensor> {
    const velocity = await callNetwork(
      this.#networks,
      'denoiser',
      { ...inputs, ...tokens },
      VELOCITY,
      [1, ...this.#shape],
      { keep, ...(guided && { guided }) },
    );
    return withoutBatch(velocity);
  }

  #newContext(): TokenContext & { keep: Readonly<Record<string, string>>; names: string[] } {
    const prefix = `context ${this.#contexts++}`;
    const keep = Object.fromEntries(this.#perBlock((name) => [name, `${prefix} ${name}`]));
    const names = Object.values(keep);
    const networks = this.#networks;
    const kept = Object.fromEntries(
      Object.entries(keep).map(([name, as]) => [`context_${name}`, { kept: as }]),
    );
    return {
      keep,
      names,
      restrict: (tokens) => networks.gather(names, TOKENS_AXIS, tokens),
      velocity: (request, live, unconditional, guidance) => {
        const call = denoiserCall([request], unconditional, guidance);
        return this.#velocity(call, { ...kept, live: liveInput(call.rows, live) });
      },
      release: () => networks.release(names),
    };
  }
}

/** Inputs of the denoiser for some requests, and what the batch has with guidance. */
interface DenoiserCall {
  /** Rows of the batch. */
  rows: number;
  inputs: NetworkInputs;
  guided: NonNullable<RunOptions['guided']> | undefined;
}

/**
 * The conditional rows and, unless guidance is 1, then the unconditional ones. Texts stay with the network, as they
 * are the same for all steps of a run.
 */
function denoiserCall(
  requests: readonly VelocityRequest[],
  unconditional: TextCondition,
  guidance: number,
): DenoiserCall {
  const times = guidance === 1 ? 1 : 2;
  const rows = times * requests.length;
  const texts = requests.map(({ condition }) => condition);
  const all = guidance === 1 ? texts : [...texts, ...texts.map(() => unconditional)];
  const { latent } = requests[0]!;
  const latents = {
    data: concatenate(requests.map((request) => request.latent.data)),
    shape: [requests.length, ...latent.shape],
  };
  const requestTimes = requests.map(({ time }) => time);
  return {
    rows,
    inputs: {
      latent: { handed: latents, times },
      time: {
        data: Float32Array.from({ length: rows }, (_, row) => requestTimes[row % requests.length]!),
        shape: [rows],
      },
      text_states: { constants: all.map(({ states }) => states) },
      text_mask: {
        data: concatenateInt64(all.map(({ mask }) => mask)),
        shape: [rows, unconditional.mask.length],
      },
    },
    guided: guidance === 1 ? undefined : { output: VELOCITY, scale: guidance, into: 'latent' },
  };
}

/** The same live tokens for each row. */
function liveInput(rows: number, tokens: readonly number[]): NetworkTensor {
  const row = BigInt64Array.from(tokens, BigInt);
  const data = new BigInt64Array(rows * row.length);
  for (let start = 0; start < data.length; start += row.length) data.set(row, start);
  return { data, shape: [rows, row.length] };
}

/** Each row of a batch. */
function rowsOf({ data, shape }: Tensor): Tensor[] {
  const [rows, ...rowShape] = shape;
  const count = elementCount(rowShape);
  return Array.from({ length: rows! }, (_, row) => ({
    data: data.subarray(row * count, (row + 1) * count),
    shape: rowShape,
  }));
}

function concatenateInt64(parts: readonly BigInt64Array[]): BigInt64Array {
  return BigInt64Array.from(parts.flatMap((part) => [...part]));
}
