import type { VideoFacts } from '#core/generation.ts';
import { shownSize } from '#core/requests/shown-size.ts';
import type { ModelManifest } from './manifest.ts';

/** What the videos of a model package are. */
export function videoFacts({ name, video }: Pick<ModelManifest, 'name' | 'video'>): VideoFacts {
  const { width, height } = shownSize(video);
  return {
    model: name,
    seconds: Math.round((video.frames / video.framesPerSecond) * 1000) / 1000,
    width,
    height,
  };
}
