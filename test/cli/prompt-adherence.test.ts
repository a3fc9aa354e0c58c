import { expect, test } from 'vitest';
import { shownBy } from '#cli/simulate/prompt-adherence.ts';
import { loadManifest } from '#models/manifest.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';

/** Where it fails after a change of the package: `node bench/prompt-adherence.ts` measures its videos. */
test('how well videos show their prompts was measured on the shipped package, and on no other', async () => {
  const { manifest } = await loadManifest(DEMO_PACKAGE);
  const [denoiser] = manifest.files.denoiser;
  const other = {
    ...manifest,
    files: { ...manifest.files, denoiser: [{ ...denoiser!, sha256: '0'.repeat(64) }] },
  };

  const shown = shownBy(manifest)!;
  expect(shown('a red ball')).toEqual(shown('a red ball'));
  for (const part of ['whole', 'object', 'background'] as const) {
    expect(shown('a red ball')[part]).toBeGreaterThan(0);
    expect(shown('a red ball')[part]).toBeLessThan(1);
  }
  expect(shownBy(other)).toBeNull();
});
