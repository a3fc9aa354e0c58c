import type { GenerationRequest } from '../generation.ts';
import { guidanceOf, type GuidanceChoice } from './guidance.ts';

/** What a denoiser reads beside the prompt, where a request departs from the package; empty where it does not. */
export type Condition = GuidanceChoice & Pick<GenerationRequest, 'image'>;

/** Of a request or what is made of one: the fields that are there, and no others. */
export function conditionOf(request: Condition): Condition {
  const { image } = request;
  return { ...guidanceOf(request), ...(image !== undefined && { image }) };
}
