import type { GenerationRequest } from '../generation.ts';

/** Where a request departs from what guides a package's denoising; empty where it does not. */
export type GuidanceChoice = Pick<GenerationRequest, 'guidanceScale' | 'negativePrompt'>;

/** Of a request or what is made of one: the fields that are there, and no others. */
export function guidanceOf({ guidanceScale, negativePrompt }: GuidanceChoice): GuidanceChoice {
  return {
    ...(guidanceScale !== undefined && { guidanceScale }),
    ...(negativePrompt !== undefined && { negativePrompt }),
  };
}
