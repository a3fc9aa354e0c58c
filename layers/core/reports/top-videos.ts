import type { VideoLine } from './video-line.ts';

/** Collects the most expensive videos by loaded cost, in bounded memory. */
export class TopVideos {
  readonly #most: number;
  #lines: VideoLine[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  add(line: VideoLine): void {
    this.#lines.push(line);
    if (this.#lines.length >= 2 * this.#most) this.#lines = this.sorted();
  }

  /** Returns the most expensive first; equal ones in order of creation. */
  sorted(): VideoLine[] {
    return this.#lines
      .toSorted((one, other) =>
        one.loaded === other.loaded ? 0 : one.loaded > other.loaded ? -1 : 1,
      )
      .slice(0, this.#most);
  }
}
