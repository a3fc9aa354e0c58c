import { InvalidInputError } from '../errors.ts';
import type { Condition } from './condition.ts';
import { normalisePrompt } from './prompt.ts';
import { MAX_SEED, shown, validateGuidance } from './request.ts';

/** What a model package makes, as far as requests may say otherwise. */
export interface Capabilities {
  /** Name of the package. */
  model: string;
  /** Of the video file, pixels. */
  width: number;
  height: number;
  /** Frames of a video. */
  frames: number;
  framesPerSecond: number;
  /** Scale of classifier-free guidance; 1 is a denoiser without it. */
  guidanceScale: number;
  /** What guidance leads away from; empty is the empty prompt. */
  negativePrompt: string;
  /** Whether a video may begin with an image that its request brings. */
  firstImage: boolean;
}

/** What a request asks for of what packages differ in; what is left out is as the package has it. */
export interface Choice extends Condition {
  /** `{width}x{height}`, pixels of the file. */
  size?: string;
  width?: number;
  height?: number;
  numFrames?: number;
  fps?: number;
  /** Videos of this request. */
  n?: number;
}

/** Videos that one request may ask for, as many as OpenAI's images: each is a job, admitted within one call. */
export const MAX_VIDEOS_OF_A_REQUEST = 10;

/** Whether requests may choose scale and negative prompt: a denoiser without guidance reads neither. */
export function hasGuidance({ guidanceScale }: Pick<Capabilities, 'guidanceScale'>): boolean {
  return guidanceScale > 1;
}

/**
 * What a request gives the denoiser beside its prompt, without what the package has anyway: a request that
 * names the package's own values is the same as one that leaves them out.
 *
 * @throws InvalidInputError naming the first field that the package cannot make, what it makes, and the fix.
 */
export function choiceOf(asked: Choice, capabilities: Capabilities): Condition {
  requireMakeable(asked, capabilities);
  const { model } = capabilities;
  const own = {
    guidanceScale: capabilities.guidanceScale,
    negativePrompt: normalisePrompt(capabilities.negativePrompt),
  };
  const wanted = { ...own, ...validateGuidance(asked) };
  const chosen: Condition = {};
  if (wanted.guidanceScale !== own.guidanceScale) {
    if (!hasGuidance(own)) {
      throw new InvalidInputError(
        'guidanceScale',
        `guidance scale ${wanted.guidanceScale} is not possible: ${model} is a model without classifier-free guidance`,
        'give 1, or leave the guidance scale out',
      );
    }
    chosen.guidanceScale = wanted.guidanceScale;
  }
  if (wanted.negativePrompt !== own.negativePrompt) {
    if (!hasGuidance(wanted)) throw withoutEffect(own, model);
    chosen.negativePrompt = wanted.negativePrompt;
  }
  if (asked.image !== undefined) {
    if (!capabilities.firstImage) throw withoutFirstImage(model);
    chosen.image = asked.image;
  }
  return chosen;
}

function withoutFirstImage(model: string): InvalidInputError {
  return new InvalidInputError(
    'image',
    `first images are not possible: ${model} makes videos of a prompt alone`,
    'leave the image out, or use a model package with an imageEncoder',
  );
}

function withoutEffect(own: { guidanceScale: number }, model: string): InvalidInputError {
  return hasGuidance(own)
    ? new InvalidInputError(
        'negativePrompt',
        'a negative prompt has no effect at guidance scale 1',
        'give a guidance scale above 1, or leave the negative prompt out',
      )
    : new InvalidInputError(
        'negativePrompt',
        `negative prompts are not possible: ${model} is a model without classifier-free guidance`,
        'leave the negative prompt out',
      );
}

function requireMakeable(asked: Choice, { model, ...makes }: Capabilities): void {
  const { width, height, frames, framesPerSecond } = makes;
  const rules: [keyof Choice, string | number, string][] = [
    ['size', `${width}x${height}`, 'size'],
    ['width', width, 'width'],
    ['height', height, 'height'],
    ['numFrames', frames, 'number of frames'],
    ['fps', framesPerSecond, 'number of frames per second'],
  ];
  for (const [field, made, name] of rules) {
    const wanted: unknown = asked[field];
    if (wanted === undefined || wanted === made) continue;
    throw new InvalidInputError(
      field,
      `${name} ${shown(wanted)} is not available: ${model} makes ${shown(made)}`,
      `give ${shown(made)}, or leave the ${name} out`,
    );
  }
  videosOf(asked);
}

/**
 * How many videos a request, or a line of a file, asks for: the rule for whoever takes in videos.
 *
 * @throws InvalidInputError unless it is an integer 1..`MAX_VIDEOS_OF_A_REQUEST`.
 */
export function videosOf({ n = 1 }: { n?: unknown }): number {
  if (isVideoCount(n)) return n;
  throw new InvalidInputError(
    'n',
    `n ${shown(n)} is not a whole number from 1 to ${MAX_VIDEOS_OF_A_REQUEST}`,
    `ask for at most ${MAX_VIDEOS_OF_A_REQUEST} videos at once, or for all of them as a backfill`,
  );
}

/** Whether so many videos may be asked for at once. */
export function isVideoCount(n: unknown): n is number {
  return Number.isInteger(n) && (n as number) >= 1 && (n as number) <= MAX_VIDEOS_OF_A_REQUEST;
}

/** Seed of a request's video by its place, from 0: counted up from the request's, and from 0 on after the last. */
export function seedOfVideo(seed: number, place: number): number {
  return (seed + place) % (MAX_SEED + 1);
}
