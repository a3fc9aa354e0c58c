import type { NetworkTensor } from './onnx-networks.ts';

/** Of constants that a thread keeps for calls to come. */
const KEPT_BYTES = 64 * 2 ** 20;

/** What a call has to tell a thread of constants: those that are new there, and those that no call will name again. */
export interface ConstantChanges {
  added: Record<string, NetworkTensor>;
  forgotten: string[];
}

/** Which tensors a thread has already, by names that it knows them by; those that were not used for the longest go first. */
export class SentConstants {
  /** In the order of last use. */
  readonly #names = new Map<NetworkTensor['data'], string>();
  readonly #keptBytes: number;
  #bytes = 0;
  #named = 0;

  constructor(keptBytes: number = KEPT_BYTES) {
    this.#keptBytes = keptBytes;
  }

  /** Forgets all: the thread is another one. */
  clear(): void {
    this.#names.clear();
    this.#bytes = 0;
  }

  /** Names of the tensors, which are known from now on; notes the new ones among the changes. */
  namesOf(tensors: readonly NetworkTensor[], { added }: ConstantChanges): string[] {
    return tensors.map((tensor) => {
      const { data } = tensor;
      let name = this.#names.get(data);
      if (name === undefined) {
        name = `constant ${this.#named++}`;
        added[name] = tensor;
        this.#bytes += data.byteLength;
      }
      this.#names.delete(data);
      this.#names.set(data, name);
      return name;
    });
  }

  /** Notes what is beyond the bytes kept; never what this call uses. */
  forgetOldest(used: ReadonlySet<string>, { forgotten }: ConstantChanges): void {
    for (const [data, name] of this.#names) {
      if (this.#bytes <= this.#keptBytes || used.has(name)) return;
      this.#names.delete(data);
      this.#bytes -= data.byteLength;
      forgotten.push(name);
    }
  }
}
