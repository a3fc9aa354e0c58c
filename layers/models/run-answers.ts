import { FlexCacheError } from '#core/errors.ts';
import { contextTokens } from '#core/latents/region.ts';
import type { AttendedTensor, Tensor } from '#core/latents/tensor.ts';
import type { TextCondition, TokenContext, VideoModel } from './model.ts';
import type { SampleRequest } from './sample-run.ts';

/** The part of a model that denoising needs. */
export type Denoiser = Pick<VideoModel, 'encodeText' | 'velocity' | 'segment' | 'regions'>;

/** The texts of a run. */
export interface RunTexts {
  condition: TextCondition;
  /** The package's own: what a denoiser was trained to read with a clean context. */
  unconditional: TextCondition;
  /** What guidance leads away from; `unconditional` unless given. */
  negative?: TextCondition;
  /** Classifier-free guidance; 1 is none. */
  guidance: number;
}

/**
 * Answers one run's requests with a model, and keeps the context of its region between them. Whoever
 * makes it releases it in the end.
 */
export class RunAnswers {
  readonly #model: Omit<Denoiser, 'encodeText'>;
  readonly #texts: RunTexts;
  #context: TokenContext | null = null;
  /** Whether the context has the tokens outside the region alone. */
  #isRestricted = false;

  constructor(model: Omit<Denoiser, 'encodeText'>, texts: RunTexts) {
    this.#model = model;
    this.#texts = texts;
  }

  /** What the run is to accept. */
  async answer(request: SampleRequest): Promise<AttendedTensor> {
    const { condition, unconditional, negative = unconditional, guidance } = this.#texts;
    if (request.kind === 'segment') return this.#segment(request.latent);
    const { latent, time } = request;
    if (request.kind === 'velocity') {
      if (!request.keepsContext) {
        return this.#model.velocity(latent, time, condition, negative, guidance);
      }
      await this.release();
      const { velocity, context } = await this.#regions().velocityAndContext(
        { latent, time, condition },
        negative,
        guidance,
      );
      this.#context = context;
      return velocity;
    }
    const { region, background } = request;
    const outside = contextTokens(region);
    if (this.#context === null) {
      this.#context = await this.#regions().cleanContext(
        background,
        outside,
        unconditional,
        guidance,
      );
    } else if (!this.#isRestricted) {
      await this.#context.restrict(outside);
    }
    this.#isRestricted = true;
    return this.#context.velocity({ latent, time, condition }, region.tokens, negative, guidance);
  }

  /** Gives the context back; harmless when there is none. */
  async release(): Promise<void> {
    const context = this.#context;
    this.#context = null;
    this.#isRestricted = false;
    await context?.release();
  }

  async #segment(latent: AttendedTensor): Promise<Tensor> {
    const mask = await this.#model.segment(latent);
    if (mask !== null) return mask;
    throw new FlexCacheError('internal', 'a mask was asked of a model that tells no objects');
  }

  #regions(): NonNullable<Denoiser['regions']> {
    const { regions } = this.#model;
    if (regions !== null) return regions;
    throw new FlexCacheError('internal', 'a region was asked of a denoiser that has none');
  }
}
