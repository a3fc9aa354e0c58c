import { describe, expect, it, onTestFinished } from 'vitest';
import { cosine } from '#core/cosine.ts';
import { PARTS, type Job } from '#core/generation.ts';
import { openEmbeddedCloud, type EmbeddedCloud } from '#local/embedded-cloud.ts';
import {
  findInFrames,
  lookAtFrames,
  writeTinyPackage,
  type TinyChange,
} from '../models/tiny-package.ts';
import { leaveOutLookup, linkedDemoPackage } from '../models/package-fixture.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const PROMPT = 'a red ball over a meadow';
const STEPS = 4;

async function open(change: Parameters<typeof linkedDemoPackage>[0]): Promise<EmbeddedCloud> {
  const cloud = await openEmbeddedCloud({
    stateDirectory: await temporaryFolder(),
    modelDirectory: await linkedDemoPackage(change),
  });
  onTestFinished(() => cloud.close());
  return cloud;
}

async function generate(cloud: EmbeddedCloud, prompt: string, seed: number): Promise<Job> {
  const job = await cloud.generate({ prompt, seed, steps: STEPS });
  expect(job).toMatchObject({ status: 'completed' });
  return job;
}

const EYES: [string, TinyChange][] = [
  ['finds objects by the attention of its denoiser', () => {}],
  [
    'finds objects in decoded frames, and makes vectors of them',
    (...all) => {
      findInFrames('pixels')(...all);
      lookAtFrames(...all);
    },
  ],
];

describe.each(EYES)('a package that %s', (_, change) => {
  it('reuses objects and backgrounds by themselves', async () => {
    // Prepare
    const cloud = await openEmbeddedCloud({
      stateDirectory: await temporaryFolder(),
      modelDirectory: await writeTinyPackage(change),
    });
    onTestFinished(() => cloud.close());
    const make = async (prompt: string, seed: number): Promise<Job> =>
      cloud.generate({ prompt, seed, steps: 20 });

    // Act
    const first = await make('a red ball over the meadow', 1);
    const second = await make('a red ball in the desert', 2);
    const third = await make('a blue star over the meadow', 3);
    const both = await make('a blue star in the desert', 4);

    // Assess
    expect(first.result).toMatchObject({ hit: 'miss', stepsRun: 20 });
    expect(second.result).toMatchObject({
      hit: 'object',
      donors: [{ entryId: first.videoId, part: 'object' }],
      stepsRun: 18,
    });
    expect(third.result).toMatchObject({ hit: 'background' });
    expect(both.result).toMatchObject({ hit: 'object+background', stepsRun: 14 });
    const video = await cloud.objects.get(both.result!.videoKey);
    expect(video.byteLength).toBe(both.result!.videoBytes);
  }, 60_000);
});

describe('the demo model with networks left out', () => {
  it('reuses wholes by the words of prompts where nothing looks at prompts or videos', async () => {
    // Prepare
    const cloud = await open(leaveOutLookup);

    // Act
    const first = await generate(cloud, PROMPT, 1);
    const again = await generate(cloud, PROMPT, 1);
    const otherSeed = await generate(cloud, PROMPT, 2);
    const sameWords = await generate(cloud, 'The red ball, over the meadow', 3);
    const otherWords = await generate(cloud, 'a blue ball over a meadow', 4);
    const entry = await cloud.table.getEntry(first.videoId);

    // Assess
    expect(first.result).toMatchObject({ hit: 'miss', stepsRun: STEPS });
    expect(again.result).toMatchObject({ hit: 'exact', stepsRun: 0 });
    for (const { result } of [otherSeed, sameWords]) {
      expect(result).toMatchObject({
        hit: 'whole',
        donors: [{ entryId: first.videoId, part: 'whole' }],
        stepsRun: 2,
      });
    }
    expect(otherWords.result).toMatchObject({ hit: 'miss', stepsRun: STEPS });
    expect(entry).toMatchObject({
      objectPhrase: 'a red ball',
      backgroundPhrase: 'over a meadow',
      vectors: { object: null, background: null },
    });
    expect(entry!.vectors.whole).toHaveLength(512);
    const video = await cloud.objects.get(otherSeed.result!.videoKey);
    expect(video.byteLength).toBe(otherSeed.result!.videoBytes);
  }, 60_000);

  it('reuses parts of videos by prompts of a sentence encoder with a tokenizer of its own', async () => {
    // Prepare: the tower as any encoder of sentences.
    const cloud = await open((manifest) => {
      const { segmenter, textTower, tokenizer } = manifest.files;
      leaveOutLookup(manifest);
      Object.assign(manifest.files, {
        segmenter,
        embedder: textTower,
        embedderTokenizer: tokenizer,
      });
      manifest['embedding'] = { dimensions: 128, maxTokens: 32, fixedLength: true };
    });

    // Act
    const ball = await generate(cloud, PROMPT, 1);
    const star = await generate(cloud, 'a blue star in the desert', 2);
    const both = await generate(cloud, 'a red ball in the desert', 3);
    const entry = await cloud.table.getEntry(ball.videoId);

    // Assess: parts of the video, by what the prompt says of them.
    const { vectors, promptVectors } = entry!;
    for (const part of PARTS) {
      expect(cosine(vectors[part]!, promptVectors![part]!)).toBeGreaterThan(0.999);
    }
    expect(both.result).toMatchObject({
      hit: 'object+background',
      donors: [
        { entryId: ball.videoId, part: 'object' },
        { entryId: star.videoId, part: 'background' },
      ],
      stepsRun: 3,
    });
  }, 60_000);

  it('looks at whole videos where a package has a tower and no segmenter', async () => {
    // Prepare: a video of few steps shows little of its prompt.
    const cloud = await open((manifest) => {
      delete manifest.files['segmenter'];
      manifest['lookup'] = { thresholds: { whole: 0.5, object: 0.5, background: 0.5 } };
    });

    // Act
    const first = await generate(cloud, PROMPT, 1);
    const again = await generate(cloud, PROMPT, 2);
    const entry = await cloud.table.getEntry(first.videoId);

    // Assess
    expect(entry!.vectors).toMatchObject({ object: null, background: null });
    expect(entry!.vectors.whole).toHaveLength(128);
    expect(again.result).toMatchObject({ hit: 'whole', stepsRun: 2 });
  }, 60_000);
});
