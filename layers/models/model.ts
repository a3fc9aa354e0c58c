import type { TokenPatch } from '#core/latents/region.ts';
import type { LookupPart } from '#core/generation.ts';
import type { ShownAttributes } from '#core/planning/shown-attributes.ts';
import type { AttendedTensor, Tensor } from '#core/latents/tensor.ts';

/** Token ids and mask, padded or cut to the package's `text.maxTokens`. */
export interface Tokens {
  ids: BigInt64Array;
  mask: BigInt64Array;
  /** How many tokens did not fit. */
  cut: number;
}

/** What the denoiser is conditioned on. */
export interface TextCondition {
  /** `[L, D]` */
  states: Tensor;
  mask: BigInt64Array;
  /** `[L]`, 1 at the tokens of the prompt's object, else 0; absent where the denoiser reads none. */
  objectTokens?: Float32Array;
}

export interface TextEmbedding {
  /** Unit length. */
  vector: Float32Array;
}

/** With per-token part labels for the prompt splitter: argmax over `splitter.labels`. */
export interface LabelledEmbedding extends TextEmbedding {
  /** `[L, labels]` */
  partLogits: Tensor;
}

/**
 * The CPU side of a package: what `Embed` needs. Runs in a Lambda as well as embedded.
 */
export interface TextEmbedder {
  embedText(text: string): Promise<TextEmbedding>;
  close(): Promise<void>;
}

/** Embeds several texts in one call, in their order, which is faster than one after the other. */
export interface BatchTextEmbedder extends TextEmbedder {
  embedTexts(texts: readonly string[]): Promise<TextEmbedding[]>;
}

/**
 * Where a latent is on its flow, 0..1: all of it, or each of its latent frames, which only the denoiser of a package
 * with `imageEncoder` can take.
 */
export type FlowTime = number | readonly number[];

/** A latent that is to be moved, and whereto. */
export interface VelocityRequest {
  /** x_t, `[C,T,H,W]` */
  latent: Tensor;
  time: FlowTime;
  condition: TextCondition;
}

/**
 * Evaluates some tokens of a latent, the live ones: they read each other and the keys and values of the
 * other tokens, which are the context.
 */
export interface RegionDenoiser {
  readonly patch: TokenPatch;
  /**
   * Whether the weights were trained with a clean context that reads itself alone; otherwise the context is
   * what a full evaluation read.
   */
  readonly isTrained: boolean;
  /** `velocity` of all tokens, whose keys and values stay for evaluations of some of them. */
  velocityAndContext(
    request: VelocityRequest,
    unconditional: TextCondition,
    guidance: number,
  ): Promise<{ velocity: AttendedTensor; context: TokenContext }>;
  /**
   * Context of some tokens of a clean latent, which read each other and the unconditional prompt: it
   * depends on neither prompt nor time.
   */
  cleanContext(
    clean: Tensor,
    tokens: readonly number[],
    unconditional: TextCondition,
    guidance: number,
  ): Promise<TokenContext>;
}

/** Keys and values of tokens. They stay where the networks run until they are released. */
export interface TokenContext {
  /** Keeps these tokens, of those that it was made of, and forgets the others. */
  restrict(tokens: readonly number[]): Promise<void>;
  /**
   * The guided velocity of the live tokens, `[C,T,H,W]`, 0 elsewhere; what the latent has elsewhere is not
   * read. With the guidance that the context was made for.
   */
  velocity(
    request: VelocityRequest,
    live: readonly number[],
    unconditional: TextCondition,
    guidance: number,
  ): Promise<AttendedTensor>;
  release(): Promise<void>;
}

/** The networks of a package that the GPU worker runs. All calls leave the event loop free. */
export interface VideoModel {
  /** @param prompt null for what the package's guidance leads away from, its negative prompt */
  encodeText(prompt: string | null): Promise<TextCondition>;
  /**
   * Velocity v = eps - x0 at x_t with classifier-free guidance: v_u + g * (v_c - v_u).
   * `latent` is `[C,T,H,W]`.
   */
  velocity(
    latent: Tensor,
    time: FlowTime,
    condition: TextCondition,
    unconditional: TextCondition,
    guidance: number,
  ): Promise<AttendedTensor>;
  /**
   * `velocity` of several latents in one network call, in their order. Sums may be taken in another order
   * than alone: the numbers agree to about 1e-4 of their size, not to the bit.
   */
  velocities(
    requests: readonly VelocityRequest[],
    unconditional: TextCondition,
    guidance: number,
  ): Promise<AttendedTensor[]>;
  /** Null where the package's denoiser evaluates all tokens or none. */
  readonly regions: RegionDenoiser | null;
  /** `[C,T,H,W]` -> `[F,3,H,W]` in 0..1 */
  decode(latent: Tensor): Promise<Tensor>;
  /** `[F,3,H,W]` in 0..1 -> `[C,T,H,W]` */
  encode(video: Tensor): Promise<Tensor>;
  /**
   * A first image `[3,H,W]` in 0..1 -> the clean latent of its frame, `[C,1,H,W]`.
   *
   * @throws FlexCacheError `model_missing` where the package has no network for it.
   */
  encodeImage(image: Tensor): Promise<Tensor>;
  /**
   * Binary object mask `[T,H,W]` at latent resolution, from what the package's `objectMask` says; null where the
   * package finds no objects.
   *
   * @param latent clean; with its object map where masks are read from attention
   * @param decoded the same as a video, `[F,3,H,W]` in 0..1; where it is needed it is decoded here unless given
   */
  segment(latent: AttendedTensor, decoded?: () => Promise<Tensor>): Promise<Tensor | null>;
  /**
   * Unit vectors of a video and its parts, in their order and in the space of the package's prompts, from what its
   * `videoVectors` says; null where the package makes none.
   *
   * @param latent clean
   * @param mask `[T,H,W]`, object where > 0; null where the whole alone is wanted
   * @param decoded the same as a video, `[F,3,H,W]` in 0..1; where it is needed it is decoded here unless given
   */
  embedParts(
    latent: Tensor,
    mask: Tensor | null,
    parts: readonly LookupPart[],
    decoded?: () => Promise<Tensor>,
  ): Promise<Float32Array[] | null>;
  /** What the package's judge sees in a latent; nothing where the package has no judge. */
  recognise(latent: Tensor): Promise<ShownAttributes>;
  close(): Promise<void>;
}

/** Evaluation only: which attributes a latent shows, however unsure. */
export interface AttributeJudge {
  /** Index of the recognised value per attribute, in the order of the manifest's `judge.attributes`, and the feature vector for Frechet distances. */
  judge(latent: Tensor): Promise<{ values: number[]; features: Float32Array }>;
  close(): Promise<void>;
}
