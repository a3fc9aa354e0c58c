import { describe, expect, it } from 'vitest';
import { describeLookup, lookupTraits } from '#models/lookup-traits.ts';
import { loadManifest } from '#models/manifest.ts';
import { describeMissing, missingToMeasure } from '#models/measurable.ts';
import { DEMO_PACKAGE } from './package-fixture.ts';
import { findInFrames, lookAtFrames, writeTinyPackage, type TinyChange } from './tiny-package.ts';

async function manifestOf(change?: TinyChange) {
  return (await loadManifest(await writeTinyPackage(change))).manifest;
}

describe('what stands in for what in look-ups', () => {
  it('says what makes vectors of videos and what finds their objects', async () => {
    const { manifest: demo } = await loadManifest(DEMO_PACKAGE);
    const ofLatents = describeLookup(lookupTraits(demo)).join('\n');
    const ofPrompts = describeLookup(lookupTraits(await manifestOf())).join('\n');
    const ofFrames = describeLookup(
      lookupTraits(
        await manifestOf((...all) => {
          findInFrames('latent')(...all);
          lookAtFrames(...all);
        }),
      ),
    ).join('\n');

    expect(ofLatents).toMatch(/compared with videos and their parts, by the tower on latents/);
    expect(ofLatents).toMatch(/told apart by the segmenter on latents/);
    expect(ofPrompts).toMatch(/not verified \(no videoTower, no videoVectors\)/);
    expect(ofPrompts).toMatch(/told apart by what the denoiser attends to/);
    expect(ofFrames).toMatch(/videos and their parts, by an image encoder on 4 decoded frames/);
    expect(ofFrames).toMatch(/told apart by a segmenter of decoded frames/);
    expect(ofFrames).not.toMatch(/by default/);
  });

  it('warns of thresholds by default that an image encoder hardly reaches', async () => {
    const manifest = await manifestOf((...all) => {
      lookAtFrames(...all);
      delete all[0].lookup;
    });

    expect(describeLookup(lookupTraits(manifest)).at(-1)).toMatch(
      /^thresholds 0\.9 whole, .*, by default: more than most image encoders give/,
    );
  });

  it('is another model revision where an image encoder is shown other frames', async () => {
    const revisions = await Promise.all(
      [4, 5].map(async (frames) => {
        const folder = await writeTinyPackage((...all) => {
          lookAtFrames(...all);
          Object.assign(all[0].videoVectors!, { frames });
        });
        return (await loadManifest(folder)).revision;
      }),
    );

    expect(revisions[0]).not.toBe(revisions[1]);
  });
});

describe('what hits are measured with', () => {
  it('may be networks on latents, or what looks at attention and frames in their place', async () => {
    const { manifest: demo } = await loadManifest(DEMO_PACKAGE);

    expect(missingToMeasure(demo)).toEqual([]);
    expect(missingToMeasure(await manifestOf(lookAtFrames))).toEqual([]);
    expect(describeMissing(missingToMeasure(await manifestOf()))).toBe(
      'videoTower or videoVectors (to compare videos with their prompts and with other videos)',
    );
  });
});
