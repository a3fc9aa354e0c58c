import type { VideoLine } from './video-line.ts';

/** The videos that cost most, machines that waited for them included; no more than these are in memory. */
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

  /** TopVideos first; of equal ones the earlier. */
  sorted(): VideoLine[] {
    return this.#lines
      .toSorted((one, other) =>
        one.loaded === other.loaded ? 0 : one.loaded > other.loaded ? -1 : 1,
      )
      .slice(0, this.#most);
  }
}
