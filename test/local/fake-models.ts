import type { EmbeddedModels } from '#local/embedded-models.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { FakeVideoModel, MANIFEST } from '../denoiser/fakes.ts';
import { halves } from '../functions/fixture.ts';

/** The first eight elements of a text's letters as a unit vector; texts of a test share little. */
async function embedText(text: string) {
  const vector = Float32Array.from({ length: 8 }, (_, index) =>
    Math.sin(text.length * 7919 + (text.codePointAt(index % text.length) ?? 0) * (index + 1)),
  );
  const length = Math.hypot(...vector);
  return {
    vector: vector.map((element) => element / length),
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
    embedder: { embedText, close: async () => {} },
    splitter: halves,
    video,
  };
}
