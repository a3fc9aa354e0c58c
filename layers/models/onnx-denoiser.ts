import type { TokenPatch } from '#core/region.ts';
import { elementCount, type Tensor } from '#core/tensor.ts';
import { concatenate } from './concatenate.ts';
import type { ModelManifest } from './manifest.ts';
import type { RegionDenoiser, TextCondition, TokenContext, VelocityRequest } from './model.ts';
import { callNetwork } from './network-call.ts';
import type { NetworkInputs, NetworkRunner, NetworkTensor } from './onnx-networks.ts';

/** Axis of keys and values `[B, heads, tokens, width]` along which rows of the batch lie, and tokens. */
const ROWS_AXIS = 0;
const TOKENS_AXIS = 2;

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
    const rows = guidedRows(requests, unconditional, guidance);
    const inputs = { ...rowInputs(rows), ...this.regions?.allTokens(rows.length) };
    const shape = [rows.length, ...this.#shape];
    const velocity = await callNetwork(this.#networks, 'denoiser', inputs, 'velocity', shape);
    return guidedVelocities(velocity, guidance);
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
    const rows = guidedRows([request], unconditional, guidance);
    const inputs = { ...rowInputs(rows), ...this.allTokens(rows.length) };
    const context = this.#newContext();
    try {
      const velocity = await this.#velocity(inputs, rows.length, guidance, context.keep);
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
    const inputs = {
      ...rowInputs([{ latent: clean, time: 0, condition: unconditional }]),
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

  async #velocity(
    inputs: NetworkInputs,
    rows: number,
    guidance: number,
    keep: Readonly<Record<string, string>> = {},
  ): Promise<Tensor> {
    const shape = [rows, ...this.#shape];
    const velocity = await callNetwork(this.#networks, 'denoiser', inputs, 'velocity', shape, keep);
    return guidedVelocities(velocity, guidance)[0]!;
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
        const rows = guidedRows([request], unconditional, guidance);
        const inputs = { ...rowInputs(rows), ...kept, live: liveInput(rows.length, live) };
        return this.#velocity(inputs, rows.length, guidance);
      },
      release: () => networks.release(names),
    };
  }
}

/** Guidance 1 is the conditional velocity itself; any other takes the unconditional one of each as well. */
function guidedRows(
  requests: readonly VelocityRequest[],
  unconditional: TextCondition,
  guidance: number,
): readonly VelocityRequest[] {
  if (guidance === 1) return requests;
  return [...requests, ...requests.map((request) => ({ ...request, condition: unconditional }))];
}

function rowInputs(rows: readonly VelocityRequest[]): NetworkInputs {
  const batch = rows.length;
  const { latent, condition } = rows[0]!;
  return {
    latent: {
      data: concatenate(rows.map((row) => row.latent.data)),
      shape: [batch, ...latent.shape],
    },
    time: { data: Float32Array.from(rows, ({ time }) => time), shape: [batch] },
    text_states: {
      data: concatenate(rows.map((row) => row.condition.states.data)),
      shape: [batch, ...condition.states.shape],
    },
    text_mask: {
      data: concatenateInt64(rows.map((row) => row.condition.mask)),
      shape: [batch, condition.mask.length],
    },
  };
}

/** The same live tokens for each row. */
function liveInput(rows: number, tokens: readonly number[]): NetworkTensor {
  const row = BigInt64Array.from(tokens, BigInt);
  const data = new BigInt64Array(rows * row.length);
  for (let start = 0; start < data.length; start += row.length) data.set(row, start);
  return { data, shape: [rows, row.length] };
}

/** One velocity a request, of the rows that `guidedRows` made: `v_u + guidance * (v_c - v_u)`. */
function guidedVelocities({ data, shape }: Tensor, guidance: number): Tensor[] {
  const [rows, ...latentShape] = shape;
  const count = elementCount(latentShape);
  const rowOf = (row: number): Float32Array => data.subarray(row * count, (row + 1) * count);
  const requests = guidance === 1 ? rows! : rows! / 2;
  return Array.from({ length: requests }, (_, row) => ({
    data: guidance === 1 ? rowOf(row) : guided(rowOf(row), rowOf(requests + row), guidance),
    shape: latentShape,
  }));
}

function guided(
  conditional: Float32Array,
  unconditional: Float32Array,
  guidance: number,
): Float32Array {
  const velocity = new Float32Array(conditional.length);
  for (let index = 0; index < velocity.length; index++) {
    const free = unconditional[index]!;
    velocity[index] = free + guidance * (conditional[index]! - free);
  }
  return velocity;
}

function concatenateInt64(parts: readonly BigInt64Array[]): BigInt64Array {
  return BigInt64Array.from(parts.flatMap((part) => [...part]));
}
