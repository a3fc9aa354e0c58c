import { FlexCacheError } from '#core/errors.ts';
import type { NetworkTensor } from './onnx-networks.ts';

/** Tensors that stay beside the networks, under names that whoever keeps them has given. */
export class KeptTensors {
  readonly #tensors = new Map<string, NetworkTensor>();

  set(name: string, tensor: NetworkTensor): void {
    this.#tensors.set(name, tensor);
  }

  /** @throws FlexCacheError `internal` when it was released, or lost with the thread that kept it. */
  get(name: string): NetworkTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) {
      throw new FlexCacheError('internal', `the tensor ${name} is not kept here any more`);
    }
    return tensor;
  }

  /**
   * Replaces tensors by what they have at some indices of one axis, in the order of the indices; an index
   * may come several times.
   */
  gather(names: readonly string[], axis: number, indices: readonly number[]): void {
    for (const name of names) this.set(name, gathered(this.get(name), axis, indices));
  }

  release(names: readonly string[]): void {
    for (const name of names) this.#tensors.delete(name);
  }
}

function gathered(
  { data, shape }: NetworkTensor,
  axis: number,
  indices: readonly number[],
): NetworkTensor {
  const extent = shape[axis];
  if (
    data instanceof BigInt64Array ||
    extent === undefined ||
    indices.some((index) => index >= extent)
  ) {
    throw new FlexCacheError(
      'internal',
      `indices beyond axis ${axis} of a tensor of [${shape.join(', ')}] were asked for`,
    );
  }
  const outer = shape.slice(0, axis).reduce((product, count) => product * count, 1);
  const inner = shape.slice(axis + 1).reduce((product, count) => product * count, 1);
  const values = outer * indices.length * inner;
  const selected = data instanceof Uint16Array ? new Uint16Array(values) : new Float32Array(values);
  let offset = 0;
  const stretches = consecutive(indices);
  for (let block = 0; block < outer; block++) {
    for (const [first, count] of stretches) {
      const start = (block * extent + first) * inner;
      selected.set(data.subarray(start, start + count * inner), offset);
      offset += count * inner;
    }
  }
  return { data: selected, shape: shape.with(axis, indices.length) };
}

/** Indices that follow each other are copied at once: tokens of a region lie in rows. */
function consecutive(indices: readonly number[]): [first: number, count: number][] {
  const stretches: [first: number, count: number][] = [];
  for (const index of indices) {
    const last = stretches.at(-1);
    if (last !== undefined && last[0] + last[1] === index) last[1]++;
    else stretches.push([index, 1]);
  }
  return stretches;
}
