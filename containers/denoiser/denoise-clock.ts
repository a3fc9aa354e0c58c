import type { VideoModel } from '#models/model.ts';

/** The part of a model that denoising needs. */
export type Denoiser = Pick<VideoModel, 'encodeText' | 'velocity'>;

/** A denoiser that measures the time spent in its network: what more or fewer steps change. */
export class DenoiseClock implements Denoiser {
  readonly #model: Denoiser;
  #milliseconds = 0;
  #evaluations = 0;

  constructor(model: Denoiser) {
    this.#model = model;
  }

  encodeText(prompt: string): ReturnType<Denoiser['encodeText']> {
    return this.#model.encodeText(prompt);
  }

  async velocity(...given: Parameters<Denoiser['velocity']>): ReturnType<Denoiser['velocity']> {
    const start = performance.now();
    const velocity = await this.#model.velocity(...given);
    this.#milliseconds += performance.now() - start;
    this.#evaluations++;
    return velocity;
  }

  /** Seconds of so many evaluations, by those that were measured here; nothing when none was. */
  secondsOf(evaluations: number): { denoiseSeconds?: number } {
    if (this.#evaluations === 0) return {};
    const milliseconds = (this.#milliseconds * evaluations) / this.#evaluations;
    return { denoiseSeconds: Math.round(milliseconds) / 1000 };
  }
}
