import { roundEquivalents } from '#core/planning/equivalents.ts';
import type { UsageRecord } from '#core/generation.ts';
import { contextShare, liveShare } from '#core/latents/region.ts';
import { elementCount, type AttendedTensor, type Tensor } from '#core/latents/tensor.ts';
import type { RegionDenoiser, TokenContext } from '#models/model.ts';
import type { Denoiser } from '#models/run-answers.ts';

export type DenoiseWork = Required<Pick<UsageRecord, 'networkEvaluations' | 'denoiseSeconds'>> &
  Pick<UsageRecord, 'evaluationEquivalents'>;

/** A denoiser that measures the time spent in its network: what more or fewer steps change. */
export class DenoiseClock implements Denoiser {
  readonly regions: RegionDenoiser | null;
  readonly #model: Denoiser;
  readonly #now: () => number;
  #milliseconds = 0;
  #evaluations = 0;
  #equivalents = 0;

  /** @param now milliseconds of the machine that the run has had */
  constructor(model: Denoiser, now = (): number => performance.now()) {
    this.#model = model;
    this.#now = now;
    this.regions = model.regions && this.#timedRegions(model.regions);
  }

  encodeText(prompt: string | null): ReturnType<Denoiser['encodeText']> {
    return this.#model.encodeText(prompt);
  }

  segment(latent: AttendedTensor): ReturnType<Denoiser['segment']> {
    return this.#model.segment(latent);
  }

  velocity(...given: Parameters<Denoiser['velocity']>): Promise<AttendedTensor> {
    return this.#time(1, 1, () => this.#model.velocity(...given));
  }

  #timedRegions(regions: RegionDenoiser): RegionDenoiser {
    const { patch, isTrained } = regions;
    const tokensOf = ({ shape }: Tensor): number =>
      elementCount(shape.slice(1)) / (patch.frames * patch.height * patch.width);
    const timed = (context: TokenContext): TokenContext => ({
      restrict: (tokens) => this.#time(0, 0, () => context.restrict(tokens)),
      velocity: (request, live, ...given) => {
        const share = liveShare(live.length, tokensOf(request.latent));
        return this.#time(1, share, () => context.velocity(request, live, ...given));
      },
      release: () => context.release(),
    });
    return {
      patch,
      isTrained,
      velocityAndContext: (...given) =>
        this.#time(1, 1, async () => {
          const { velocity, context } = await regions.velocityAndContext(...given);
          return { velocity, context: timed(context) };
        }),
      cleanContext: (clean, tokens, ...given) => {
        const share = contextShare(tokens.length, tokensOf(clean));
        return this.#time(0, share, async () =>
          timed(await regions.cleanContext(clean, tokens, ...given)),
        );
      },
    };
  }

  async #time<T>(evaluations: number, equivalents: number, call: () => Promise<T>): Promise<T> {
    const start = this.#now();
    const answer = await call();
    this.#milliseconds += this.#now() - start;
    this.#evaluations += evaluations;
    this.#equivalents += equivalents;
    return answer;
  }

  /** What the denoiser has done so far. */
  get work(): DenoiseWork {
    return {
      networkEvaluations: this.#evaluations,
      ...(this.#equivalents !== this.#evaluations && {
        evaluationEquivalents: roundEquivalents(this.#equivalents),
      }),
      denoiseSeconds: Math.round(this.#milliseconds) / 1000,
    };
  }
}
