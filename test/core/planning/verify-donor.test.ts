import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import type { Entry } from '#core/generation.ts';
import { embedPrompt } from '#functions/shared/embed-prompt.ts';
import { readingOf } from '#functions/shared/store-outcome.ts';
import { verifyDonor } from '#core/planning/verify-donor.ts';
import { loadManifest, type ModelPackage } from '#models/manifest.ts';
import { OnnxTextEmbedder } from '#models/onnx-text-embedder.ts';
import { ModelPromptSplitter } from '#models/prompt-splitter.ts';
import { itemToEntry, entryToItem } from '#aws/table-items.ts';
import { OTHER_MEANING, SAME_MEANING } from '../../../bench/prompt-pairs.ts';
import { DEMO_PACKAGE } from '../../models/package-fixture.ts';
import { sampleEntry } from '../../aws/samples.ts';

describe('a donor of the demo package', () => {
  let modelPackage: ModelPackage;
  let embedder: OnnxTextEmbedder;

  beforeAll(async () => {
    modelPackage = await loadManifest(DEMO_PACKAGE);
    embedder = await OnnxTextEmbedder.open(modelPackage, { inThread: false });
  });
  afterAll(() => embedder.close());

  function embed(prompt: string) {
    const { labels } = modelPackage.manifest.splitter!;
    const splitter = new ModelPromptSplitter(embedder, embedder.tokenizer, labels);
    return embedPrompt({ embedder, splitter }, prompt);
  }

  /** As the table returns it; its video shows exactly what the prompt says. */
  async function entryOf(prompt: string): Promise<Entry> {
    const embedding = await embed(prompt);
    const entry = { ...readingOf(embedding), vectors: embedding.vectors, prompt };
    return itemToEntry(entryToItem(sampleEntry(entry)));
  }

  async function isWhole(stored: string, asked: string, changes: Partial<Entry> = {}) {
    const calibration = new DefaultCalibration(modelPackage.manifest.lookup!.thresholds);
    const question = { prompt: asked, embedding: await embed(asked), calibration, judged: [] };
    const entry = { ...(await entryOf(stored)), ...changes };
    return verifyDonor('whole', question, entry).shows === 'asked';
  }

  it.each(OTHER_MEANING)(
    'is not the whole of %s for %s, nor the other way round',
    async (one, other) => {
      expect(await isWhole(one, other)).toBe(false);
      expect(await isWhole(other, one)).toBe(false);
    },
  );

  it.each(SAME_MEANING)('is the whole of %s for %s', async (stored, asked) => {
    expect(await isWhole(stored, asked)).toBe(true);
  });

  it.each([
    ['shows the size and motion that are asked for', 'a small blue ball rising', {}, true],
    ['is asked for neither', 'a blue ball', {}, true],
    ['moves otherwise', 'a small blue ball falling', {}, false],
    ['is of another size', 'a large blue ball', {}, false],
    [
      'moves so that the judge was not sure',
      'a blue ball rising',
      { shown: { size: 'small' } },
      false,
    ],
  ])('is placed as asked for or not, where its object %s', async (_, object, changes, expected) => {
    // Prepare
    const background = 'over the ocean at night';
    const entry = await entryOf(`a small green star rising ${background}`);
    const shown = { shape: 'star', color: 'green', size: 'small', motion: 'rise' };
    const prompt = `${object} ${background}`;
    const question = {
      prompt,
      embedding: await embed(prompt),
      calibration: new DefaultCalibration(modelPackage.manifest.lookup!.thresholds),
      judged: modelPackage.manifest.judge!.attributes,
    };

    // Act
    const verified = verifyDonor('background', question, { ...entry, shown, ...changes });

    // Assess
    expect(verified).toMatchObject({ shows: 'asked', isPlaced: expected });
    // Of the background the judge saw nothing.
    expect(verified).toMatchObject({ isSure: false });
    const seen = { ...shown, scene: 'ocean', light: 'night' };
    expect(verifyDonor('background', question, { ...entry, shown: seen }).isSure).toBe(true);
    const { vectors } = entry;
    const without = { ...entry, shown, vectors: { ...vectors, object: null } };
    expect(verifyDonor('background', question, without).isPlaced).toBe(false);
    expect(verifyDonor('background', { ...question, judged: [] }, entry).isPlaced).toBe(false);
  });

  it('is no whole where its video does not show a part, or where nobody knows what it was asked for', async () => {
    // Prepare
    const [stored, asked] = SAME_MEANING[0]!;
    const { vectors } = await entryOf(stored);
    const wrong = await entryOf('a green star rising over the ocean at night');

    // Act
    const isShown = isWhole(stored, asked, {
      vectors: { ...vectors, object: wrong.vectors.object },
    });
    const { promptVectors: _, ...older } = await entryOf(stored);
    const { shows } = verifyDonor(
      'whole',
      {
        prompt: asked,
        embedding: await embed(asked),
        calibration: new DefaultCalibration(modelPackage.manifest.lookup!.thresholds),
        judged: [],
      },
      older,
    );

    // Assess
    expect(await isShown).toBe(false);
    expect(shows).toBe('near');
  });
});
