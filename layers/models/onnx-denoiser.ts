import { FlexCacheError } from '#core/errors.ts';
import type { TokenPatch } from '#core/latents/region.ts';
import { elementCount, type AttendedTensor, type Tensor } from '#core/latents/tensor.ts';
import { concatenate } from './concatenate.ts';
import type { ModelManifest } from './manifest.ts';
import type {
  FlowTime,
  RegionDenoiser,
  TextCondition,
  TokenContext,
  VelocityRequest,
} from './model.ts';
import { pickOutput } from './network-call.ts';
import { objectMaskOf } from './object-mask.ts';
import type { NetworkInputs, NetworkRunner, NetworkTensor, RunOptions } from './onnx-networks.ts';

/** Axis of keys and values `[B, heads, tokens, width]` along which rows of the batch lie, and tokens. */
const ROWS_AXIS = 0;
const TOKENS_AXIS = 2;
/** The denoiser's outputs. */
const VELOCITY = 'velocity';
const OBJECT_MAP = 'object_map';

/** The denoiser of a package: of whole latents and, where the package's graph can, of some tokens alone. */
export class OnnxDenoiser {
  readonly #graph: DenoiserGraph;
  /** Null where the graph takes whole latents only. */
  readonly regions: OnnxRegionDenoiser | null;

  constructor(networks: NetworkRunner, manifest: ModelManifest) {
    this.#graph = new DenoiserGraph(networks, manifest);
    const { regions } = manifest;
    this.regions = regions === undefined ? null : new OnnxRegionDenoiser(this.#graph, regions);
  }

  /** See `VideoModel.velocities`. */
  async velocities(
    requests: readonly VelocityRequest[],
    unconditional: TextCondition,
    guidance: number,
  ): Promise<AttendedTensor[]> {
    if (requests.length === 0) return [];
    const call = this.#graph.callOf(requests, unconditional, guidance);
    return this.#graph.evaluate(call, this.regions?.allTokens(call.rows) ?? {});
  }
}

/** What the graph of a denoiser takes and gives, whichever of its tokens are evaluated. */
class DenoiserGraph {
  readonly networks: NetworkRunner;
  /** `[C, T, H, W]` */
  readonly shape: readonly number[];
  readonly #mapsObject: boolean;
  /** Latent frames, where the graph takes a time for each of them; null where it takes one for all. */
  readonly #timedFrames: number | null;

  constructor(networks: NetworkRunner, manifest: ModelManifest) {
    const { channels, frames, height, width } = manifest.latent;
    this.networks = networks;
    this.shape = [channels, frames, height, width];
    this.#timedFrames = manifest.files.imageEncoder === undefined ? null : frames;
    this.#mapsObject = objectMaskOf(manifest)?.source === 'attention';
  }

  /**
   * The conditional rows and, unless guidance is 1, then the unconditional ones. Texts stay with the network, as they
   * are the same for all steps of a run.
   */
  callOf(
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
    const requestTimes = requests.map(({ time }) => timesOf(time, this.#timedFrames));
    const tokens = unconditional.mask.length;
    return {
      requests: requests.length,
      rows,
      inputs: {
        latent: { handed: latents, times },
        time: {
          data: concatenate(Array.from({ length: times }, () => requestTimes).flat()),
          shape: this.#timedFrames === null ? [rows] : [rows, this.#timedFrames],
        },
        text_states: { constants: all.map(({ states }) => states) },
        text_mask: {
          data: concatenateInt64(all.map(({ mask }) => mask)),
          shape: [rows, tokens],
        },
        ...(this.#mapsObject && { object_tokens: objectTokens(texts, rows, tokens) }),
      },
      guided: guidance === 1 ? undefined : { output: VELOCITY, scale: guidance, into: 'latent' },
    };
  }

  /**
   * The guided velocities of a call, with the object maps of its conditional rows.
   *
   * @param tokens which tokens are live, for graphs that ask
   */
  async evaluate(
    { requests, inputs, guided }: DenoiserCall,
    tokens: NetworkInputs,
    keep: Readonly<Record<string, string>> = {},
  ): Promise<AttendedTensor[]> {
    const found = await this.networks.run(
      'denoiser',
      { ...inputs, ...tokens },
      {
        outputs: this.#mapsObject ? [VELOCITY, OBJECT_MAP] : [VELOCITY],
        keep,
        ...(guided && { guided }),
      },
    );
    const velocities = rowsOf(pickOutput(found, 'denoiser', VELOCITY, [requests, ...this.shape]));
    if (!this.#mapsObject) return velocities;
    const rows = guided === undefined ? requests : 2 * requests;
    const maps = rowsOf(pickOutput(found, 'denoiser', OBJECT_MAP, [rows, ...this.shape.slice(1)]));
    return velocities.map((velocity, row) => ({ ...velocity, objectMap: maps[row]! }));
  }
}

/** Those of the conditional rows; the others attend to no object that is asked for. */
function objectTokens(
  texts: readonly TextCondition[],
  rows: number,
  tokens: number,
): NetworkTensor {
  const data = new Float32Array(rows * tokens);
  for (const [row, { objectTokens: marks }] of texts.entries()) {
    if (marks !== undefined) data.set(marks, row * tokens);
  }
  return { data, shape: [rows, tokens] };
}

/** A graph that evaluates chosen tokens, which read each other and the keys and values of others. */
export class OnnxRegionDenoiser implements RegionDenoiser {
  readonly patch: TokenPatch;
  readonly isTrained: boolean;
  readonly #graph: DenoiserGraph;
  readonly #regions: NonNullable<ModelManifest['regions']>;
  readonly #tokens: readonly number[];
  #contexts = 0;

  constructor(graph: DenoiserGraph, regions: NonNullable<ModelManifest['regions']>) {
    const [frames, height, width] = regions.patch;
    this.patch = { frames, height, width };
    this.isTrained = regions.trained;
    this.#graph = graph;
    this.#regions = regions;
    const count = elementCount(graph.shape.slice(1)) / elementCount(regions.patch);
    this.#tokens = Array.from({ length: count }, (_, token) => token);
  }

  async velocityAndContext(
    request: VelocityRequest,
    unconditional: TextCondition,
    guidance: number,
  ): Promise<{ velocity: AttendedTensor; context: TokenContext }> {
    const call = this.#graph.callOf([request], unconditional, guidance);
    const context = this.#newContext();
    try {
      const tokens = {
        ...this.allTokens(call.rows),
        ...this.#kept(call.rows, this.#tokens.length),
      };
      const [velocity] = await this.#graph.evaluate(call, tokens, context.keep);
      return { velocity: velocity!, context };
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
      ...this.#graph.callOf([request], unconditional, 1).inputs,
      ...this.#noContext(1),
      live: tokensInput(1, tokens),
      ...this.#kept(1, tokens.length),
    };
    const context = this.#newContext();
    const { networks } = this.#graph;
    await networks.run('denoiser', inputs, { outputs: [], keep: context.keep });
    // The same for both rows of a guided evaluation.
    if (guidance !== 1) await networks.gather(context.names, ROWS_AXIS, [0, 0]);
    return context;
  }

  /** Inputs that make all tokens live, and keep no keys and values where the graph asks which to keep. */
  allTokens(batch: number): NetworkInputs {
    return {
      ...this.#noContext(batch),
      live: tokensInput(batch, this.#tokens),
      ...this.#kept(batch, 0),
    };
  }

  /** The first so many live tokens, for graphs that ask which keys and values to give. */
  #kept(batch: number, count: number): NetworkInputs {
    return this.#regions.readsKept
      ? { kept: tokensInput(batch, this.#tokens.slice(0, count)) }
      : {};
  }

  #noContext(batch: number): NetworkInputs {
    const { heads, headWidth, contextType } = this.#regions;
    const data = contextType === 'float16' ? new Uint16Array(0) : new Float32Array(0);
    const none = { data, shape: [batch, heads, 0, headWidth] };
    return Object.fromEntries(this.#perBlock((name) => [`context_${name}`, none]));
  }

  #perBlock<T>(make: (name: string) => T): T[] {
    return Array.from({ length: this.#regions.blocks }, (_, block) => [
      make(`keys_${block}`),
      make(`values_${block}`),
    ]).flat();
  }

  #newContext(): TokenContext & { keep: Readonly<Record<string, string>>; names: string[] } {
    const prefix = `context ${this.#contexts++}`;
    const keep = Object.fromEntries(this.#perBlock((name) => [name, `${prefix} ${name}`]));
    const names = Object.values(keep);
    const graph = this.#graph;
    const { networks } = graph;
    const kept = Object.fromEntries(
      Object.entries(keep).map(([name, as]) => [`context_${name}`, { kept: as }]),
    );
    return {
      keep,
      names,
      restrict: (tokens) => networks.gather(names, TOKENS_AXIS, tokens),
      velocity: async (request, live, unconditional, guidance) => {
        const call = graph.callOf([request], unconditional, guidance);
        const tokens = {
          ...kept,
          live: tokensInput(call.rows, live),
          ...this.#kept(call.rows, 0),
        };
        const [velocity] = await graph.evaluate(call, tokens);
        return velocity!;
      },
      release: () => networks.release(names),
    };
  }
}

/** Inputs of the denoiser for some requests, and what the batch has with guidance. */
interface DenoiserCall {
  requests: number;
  /** Rows of the batch. */
  rows: number;
  inputs: NetworkInputs;
  guided: NonNullable<RunOptions['guided']> | undefined;
}

/** A row of the input `time`. @throws FlexCacheError `internal` for times that the graph cannot take. */
function timesOf(time: FlowTime, timedFrames: number | null): Float32Array {
  if (typeof time === 'number') return new Float32Array(timedFrames ?? 1).fill(time);
  if (time.length === timedFrames) return Float32Array.from(time);
  throw new FlexCacheError(
    'internal',
    `the denoiser was given ${time.length} times for the frames of a latent, and takes ${timedFrames ?? 'one for all of them'}`,
  );
}

/** The same tokens for each row. */
function tokensInput(rows: number, tokens: readonly number[]): NetworkTensor {
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
