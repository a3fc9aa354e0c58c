import type { Holdings } from './system.ts';

/** Counts what a cache stores and what its hits read. */
export class HoldingsCounter {
  #entries = 0;
  #bytes = 0;
  #bytesRead = 0;

  /** One more entry, which takes so many bytes. */
  store(bytes: number): void {
    this.#entries++;
    this.#bytes += bytes;
  }

  read(bytes: number): void {
    this.#bytesRead += bytes;
  }

  /** In whole bytes: of compressed states there are fractions. */
  get holdings(): Holdings {
    return {
      entries: this.#entries,
      bytes: Math.round(this.#bytes),
      bytesRead: Math.round(this.#bytesRead),
    };
  }
}
