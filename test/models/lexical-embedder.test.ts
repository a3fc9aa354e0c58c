import { describe, expect, it } from 'vitest';
import { cosine } from '#core/cosine.ts';
import { LEXICAL_DIMENSIONS, LexicalEmbedder } from '#models/lexical-embedder.ts';

async function vectorOf(text: string): Promise<number[]> {
  const { vector } = await new LexicalEmbedder().embedText(text);
  return Array.from(vector);
}

async function likeness(one: string, other: string): Promise<number> {
  return cosine(await vectorOf(one), await vectorOf(other));
}

describe('LexicalEmbedder', () => {
  it.each([
    'a red ball over a meadow',
    'ball',
    '一只红色的球在草地上',
    '🐉',
    ' a ',
    'word '.repeat(400),
  ])('gives every text a vector of length 1: %s', async (text) => {
    const vector = await vectorOf(text);

    expect(vector).toHaveLength(LEXICAL_DIMENSIONS);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
  });

  it('takes case, punctuation and articles for nothing', async () => {
    expect(
      await likeness('a red ball over a meadow', 'The red BALL, over the meadow!'),
    ).toBeCloseTo(1, 6);
  });

  it('gives texts of the same words in another order less than 1, and of other words little', async () => {
    const sameWords = await likeness('a dog chasing a cat', 'a cat chasing a dog');
    const oneWord = await likeness('a red ball over a meadow', 'a blue ball over a meadow');
    const noWord = await likeness('a red ball over a meadow', 'two people drinking coffee');

    expect(sameWords).toBeLessThan(0.9);
    expect(oneWord).toBeLessThan(0.8);
    expect(oneWord).toBeGreaterThan(0.4);
    expect(Math.abs(noWord)).toBeLessThan(0.3);
  });

  it('tells texts of a script without blanks by their words', async () => {
    expect(await likeness('一只红色的球在草地上', '一只蓝色的球在草地上')).toBeGreaterThan(0.3);
  });
});
