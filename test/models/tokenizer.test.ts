import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadManifest } from '#models/manifest.ts';
import { PromptTokenizer } from '#models/tokenizer.ts';
import { DEMO_PACKAGE, writePackage } from './package-fixture.ts';

const UNKNOWN = 1n;

/** A tokenizer as text encoders of the T5 family have it: unigrams, and an end token after every prompt. */
const UNIGRAM = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: ['<pad>', '</s>', '<unk>'].map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: {
    type: 'Metaspace',
    replacement: '\u2581',
    prepend_scheme: 'always',
    split: true,
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
    pair: [],
    special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
  },
  decoder: null,
  model: {
    type: 'Unigram',
    unk_id: 2,
    vocab: [
      ['<pad>', 0],
      ['</s>', 0],
      ['<unk>', -10],
      ...['a', 'grey', 'heron', 'in', 'shallow', 'water'].map((word) => [`\u2581${word}`, -3]),
    ],
  },
};

describe('PromptTokenizer of a package that adds special tokens', () => {
  const text = { maxTokens: 8, padId: 0, eosId: 1, addsSpecialTokens: true };
  const idsOf = (prompt: string, maxTokens = 8): { ids: number[]; kept: number; cut: number } => {
    const tokenizer = new PromptTokenizer(UNIGRAM, { ...text, maxTokens });
    const { ids, mask, cut } = tokenizer.encode(prompt);
    return { ids: [...ids].map(Number), kept: [...mask].filter((bit) => bit === 1n).length, cut };
  };

  it('ends every prompt with the end token, the empty one too, and fills up with padding', () => {
    expect(idsOf('a grey heron')).toEqual({ ids: [3, 4, 5, 1, 0, 0, 0, 0], kept: 4, cut: 0 });
    expect(idsOf('')).toEqual({ ids: [1, 0, 0, 0, 0, 0, 0, 0], kept: 1, cut: 0 });
  });

  it('takes any white space for one blank', () => {
    expect(idsOf('  a\tgrey \n heron ')).toEqual(idsOf('a grey heron'));
  });

  it('keeps the end token of a prompt that is cut', () => {
    expect(idsOf('a grey heron in shallow water', 4)).toEqual({
      ids: [3, 4, 5, 1],
      kept: 4,
      cut: 3,
    });
  });

  it('knows which tokens each word became, and none of what was cut', () => {
    const positionsOf = (prompt: string, maxTokens: number) =>
      new PromptTokenizer(UNIGRAM, { ...text, maxTokens }).wordPositions(prompt);

    expect(positionsOf('a grey  heron in shallow water', 8)).toEqual([
      [0],
      [1],
      [2],
      [3],
      [4],
      [5],
    ]);
    expect(positionsOf('a grey heron', 3)).toEqual([[0], [1], []]);
    expect(positionsOf('', 8)).toEqual([]);
  });

  it('counts the tokens that stand before the first word', () => {
    const begins = {
      ...UNIGRAM,
      post_processor: {
        ...UNIGRAM.post_processor,
        single: [
          { SpecialToken: { id: '</s>', type_id: 0 } },
          { Sequence: { id: 'A', type_id: 0 } },
        ],
      },
    };

    expect(new PromptTokenizer(begins, text).wordPositions('grey heron')).toEqual([[1], [2]]);
  });

  it('names the words that are cut to leave room for the end token', () => {
    const reading = (maxTokens: number) =>
      new PromptTokenizer(UNIGRAM, { ...text, maxTokens }).readingOf('a grey heron');

    expect(reading(4)).toMatchObject({ cutTokens: 0, cutWords: [] });
    expect(reading(3)).toMatchObject({ cutTokens: 1, cutWords: ['heron'] });
  });
});

describe('PromptTokenizer', () => {
  let tokenizer: PromptTokenizer;
  let reference: Tokenizer;

  beforeAll(async () => {
    tokenizer = await PromptTokenizer.open(await loadManifest(DEMO_PACKAGE));
    const json = JSON.parse(await readFile(join(DEMO_PACKAGE, 'tokenizer.json'), 'utf8')) as object;
    reference = new Tokenizer(json, {});
  });

  it.each([
    'a red ball rolling over a green meadow at night, camera panning',
    'At dawn, the tiny crimson star is zigzagging; in outer space!',
    'dashes-in-words, "quotes" and (brackets)',
    'Ünïcödé accents and 漢字 without spaces',
  ])('yields what tokenising the whole prompt yields: %s', (prompt) => {
    // Act
    const { ids, mask, cut } = tokenizer.encode(prompt);

    // Assess
    const expected = reference.encode(prompt, { add_special_tokens: false }).ids;
    const kept = mask.filter((bit) => bit === 1n).length;
    expect([...ids.subarray(0, kept)].map(Number)).toEqual(expected.slice(0, 32));
    expect(kept + cut).toBe(expected.length);
  });

  it('gives the empty string padding whose first mask is 1', () => {
    // Act
    const { ids, mask, cut } = tokenizer.encode('');

    // Assess
    expect(ids).toEqual(new BigInt64Array(32));
    expect(mask).toEqual(BigInt64Array.from({ length: 32 }, (_, i) => (i === 0 ? 1n : 0n)));
    expect(cut).toBe(0);
  });

  it('cuts a prompt of 10,000 characters and counts what it cut', () => {
    // Prepare
    const prompt = 'red ball '.repeat(1112).slice(0, 10_000);

    // Act
    const { ids, mask, cut } = tokenizer.encode(prompt);

    // Assess
    expect(ids).toHaveLength(32);
    expect(mask.every((bit) => bit === 1n)).toBe(true);
    expect(cut).toBe(2223 - 32);
  });

  it('takes one word of 10,000 characters as one unknown word', () => {
    // Act
    const { ids, mask, cut } = tokenizer.encode('x'.repeat(10_000));

    // Assess
    expect(ids[0]).toBe(UNKNOWN);
    expect(mask[1]).toBe(0n);
    expect(cut).toBe(0);
  });

  it.each(['🐉', 'qwertzuiop', '👩‍👩‍👧', '\u{10FFFF}', 'naïveté'])(
    'takes %j as unknown instead of failing',
    (word) => {
      // Act
      const { ids } = tokenizer.encode(`red ${word} ball`);

      // Assess
      const red = tokenizer.encode('red').ids[0];
      expect(ids[0]).toBe(red);
      expect(ids.includes(UNKNOWN)).toBe(true);
    },
  );

  it('tells which tokens each word became, without its punctuation', () => {
    // Act
    const { words } = tokenizer.encodeWords('  A ball, \n rising ! ');

    // Assess
    expect(words).toMatchObject([
      { text: 'A', positions: [0] },
      { text: 'ball,', positions: [1] },
      { text: 'rising', positions: [3] },
      { text: '!', positions: [expect.any(Number)] },
    ]);
  });

  it('says that a tokenizer file is not a tokenizer', async () => {
    // Prepare
    const modelPackage = await loadManifest(await writePackage());

    // Act & Assess
    await expect(PromptTokenizer.open(modelPackage)).rejects.toMatchObject({
      code: 'model_corrupt',
      field: expect.stringContaining('tokenizer.json'),
    });
  });
});
