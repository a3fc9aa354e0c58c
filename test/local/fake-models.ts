import type { EmbeddedModels } from '#local/embedded-models.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { defaultCalibration } from '#models/package-calibration.ts';
import { FakeVideoModel, MANIFEST, targetOf, THRESHOLDS, vectorOf } from '../denoiser/fakes.ts';
import { halves, TAKES_ALL } from '../functions/fixture.ts';

/** The vector of the video that is made of the text: a video shows its prompt, and no other text. */
async function embedText(text: string) {
  return {
    vector: vectorOf(targetOf(text)),
    partLogits: { data: new Float32Array(0), shape: [0, 3] },
  };
}

/** Models that take no time, for an embedded cloud. */
export function fakeModels(video = new FakeVideoModel()): EmbeddedModels {
  return {
    modelPackage: {
      directory: 'nowhere',
      manifest: MANIFEST as ModelManifest,
      revision: 'r'.repeat(64),
    },
    calibration: {
      calibration: defaultCalibration({ manifest: MANIFEST as ModelManifest }),
      file: null,
      thresholds: THRESHOLDS,
      advice: 'calibrate',
    },
    embedder: { embedText, close: async () => {} },
    splitter: halves,
    reader: TAKES_ALL,
    video,
  };
}
