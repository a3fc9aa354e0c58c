import type { UsageRecord } from '#core/generation.ts';
import type { Tensor } from '#core/tensor.ts';
import type { Denoiser } from '#models/sampler.ts';

export type DenoiseWork = Required<Pick<UsageRecord, 'networkEvaluations' | 'denoiseSeconds'>>;

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

  segment(latent: Tensor): ReturnType<Denoiser['segment']> {
    return this.#model.segment(latent);
  }

  async velocity(...given: Parameters<Denoiser['velocity']>): ReturnType<Denoiser['velocity']> {
    const start = performance.now();
    const velocity = await this.#model.velocity(...given);
    this.#milliseconds += performance.now() - start;
    this.#evaluations++;
    return velocity;
  }

  /** What the denoiser has done so far. */
  get work(): DenoiseWork {
    return {
      networkEvaluations: this.#evaluations,
      denoiseSeconds: Math.round(this.#milliseconds) / 1000,
    };
  }
}
