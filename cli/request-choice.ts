import type { Choice } from '#core/requests/capabilities.ts';
import { validateNegativePrompt } from '#core/requests/prompt.ts';
import { validateGuidanceScale, validatePositiveNumber } from '#core/requests/request.ts';
import { fromDecimals } from '#readers/request-line.ts';

export interface ChoiceOptions {
  negativePrompt?: string;
  guidanceScale?: string;
  size?: string;
  numFrames?: string;
  fps?: string;
}

/**
 * What a command asks for of what packages differ in. Whether the package makes it is told by the cloud.
 *
 * @throws InvalidInputError naming the option that is wrong whatever the package.
 */
export function requestChoice(options: ChoiceOptions): Omit<Choice, 'n'> {
  const { negativePrompt, guidanceScale, size, numFrames, fps } = options;
  return {
    ...(negativePrompt !== undefined && { negativePrompt: validateNegativePrompt(negativePrompt) }),
    ...(guidanceScale !== undefined && {
      guidanceScale: validateGuidanceScale(fromDecimals(guidanceScale)),
    }),
    ...(size !== undefined && { size }),
    ...(numFrames !== undefined && {
      numFrames: validatePositiveNumber('numFrames', fromDecimals(numFrames)),
    }),
    ...(fps !== undefined && { fps: validatePositiveNumber('fps', fromDecimals(fps)) }),
  };
}
