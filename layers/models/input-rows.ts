import { concatenate } from './concatenate.ts';
import type { NetworkTensor } from './onnx-networks.ts';

/**
 * Lays rows out as inputs, in memory that is used again: pages of a new buffer cost more than copying into an old one.
 * What it returns holds until the same input is laid out again.
 */
export class InputRows {
  readonly #repeated = new Map<string, Float32Array>();
  readonly #stacked = new Map<string, { rows: readonly NetworkTensor[]; stack: NetworkTensor }>();

  /**
   * All rows so many times over, one after the other.
   *
   * @param input what they are for
   */
  repeat(input: string, { data, shape }: NetworkTensor, times: number): NetworkTensor {
    if (times === 1) return { data, shape };
    let whole = this.#repeated.get(input);
    if (whole?.length !== data.length * times) {
      whole = new Float32Array(data.length * times);
      this.#repeated.set(input, whole);
    }
    for (let time = 0; time < times; time++) whole.set(data as Float32Array, time * data.length);
    return { data: whole, shape: shape.with(0, shape[0]! * times) };
  }

  /**
   * Rows that never change as one tensor. The same rows as before are there already: a run evaluates its denoiser
   * many times with the same texts.
   *
   * @param rows float32 of one shape; one at least
   */
  stack(input: string, rows: readonly NetworkTensor[]): NetworkTensor {
    const last = this.#stacked.get(input);
    if (last !== undefined && isSame(last.rows, rows)) return last.stack;
    const data = concatenate(rows.map((row) => row.data as Float32Array));
    const stack = { data, shape: [rows.length, ...rows[0]!.shape] };
    this.#stacked.set(input, { rows, stack });
    return stack;
  }
}

function isSame(one: readonly NetworkTensor[], other: readonly NetworkTensor[]): boolean {
  return one.length === other.length && one.every(({ data }, row) => data === other[row]!.data);
}
