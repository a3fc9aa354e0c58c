import type { Choice } from './capabilities.ts';

/** A choice as requests of the API and lines of files write it. */
export interface WireChoice {
  size?: string;
  width?: number;
  height?: number;
  num_frames?: number;
  fps?: number;
  n?: number;
  guidance_scale?: number;
  negative_prompt?: string;
}

/** The choice that was written; what is left out stays out. */
export function choiceFromWire(written: {
  readonly [Field in keyof WireChoice]: WireChoice[Field] | undefined;
}): Choice {
  const { size, width, height, num_frames: numFrames, fps, n } = written;
  const { guidance_scale: guidanceScale, negative_prompt: negativePrompt } = written;
  return {
    ...(size !== undefined && { size }),
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(numFrames !== undefined && { numFrames }),
    ...(fps !== undefined && { fps }),
    ...(n !== undefined && { n }),
    ...(guidanceScale !== undefined && { guidanceScale }),
    ...(negativePrompt !== undefined && { negativePrompt }),
  };
}
