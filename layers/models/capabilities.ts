import type { Capabilities } from '#core/requests/capabilities.ts';
import { shownSize } from '#core/requests/shown-size.ts';
import type { ModelManifest } from './manifest.ts';

/** What requests of a package may choose among. */
export function capabilitiesOf({
  name,
  video,
  scheduler,
  text,
  files,
}: Pick<ModelManifest, 'name' | 'video' | 'scheduler' | 'text' | 'files'>): Capabilities {
  return {
    model: name,
    ...shownSize(video),
    frames: video.frames,
    framesPerSecond: video.framesPerSecond,
    guidanceScale: scheduler.guidance,
    negativePrompt: text.negativePrompt,
    firstImage: files.imageEncoder !== undefined,
  };
}
