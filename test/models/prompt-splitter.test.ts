import { beforeAll, describe, expect, it } from 'vitest';
import { loadManifest } from '#models/manifest.ts';
import { ModelPromptSplitter, partPhrases, type TokenLabeller } from '#models/prompt-splitter.ts';
import { OnnxTextEmbedder } from '#models/onnx-text-embedder.ts';
import { PromptTokenizer } from '#models/tokenizer.ts';
import { DEMO_PACKAGE } from './package-fixture.ts';

const LABELS = ['other', 'object', 'background'] as const;

/** `ball/o` is a word of the object, `sea/b` of the background; anything else is neither. */
function labelled(marked: string) {
  return marked.split(' ').map((word) => {
    const [text, mark] = word.split('/') as [string, string | undefined];
    const label = mark === 'o' ? 'object' : mark === 'b' ? 'background' : 'other';
    return { text, label } as const;
  });
}

describe('partPhrases', () => {
  it.each([
    ['a/o red/o ball/o over/b a/b meadow/b', 'a red ball', 'over a meadow'],
    ['red/o ball/o', 'red ball', null],
    ['at/b night/b', null, 'at night'],
    ['what is this', null, null],
  ])(
    'takes the words of each part in their order: %s',
    (marked, objectPhrase, backgroundPhrase) => {
      expect(partPhrases(labelled(marked))).toEqual({ objectPhrase, backgroundPhrase });
    },
  );

  it('gives a word between two words of one part to that part', () => {
    expect(partPhrases(labelled('red/o zorbly shiny ball/o in/b foggy space/b'))).toEqual({
      objectPhrase: 'red zorbly shiny ball',
      backgroundPhrase: 'in foggy space',
    });
  });

  it('leaves out a word between two parts', () => {
    expect(partPhrases(labelled('red/o ball/o somehow at/b sea/b'))).toEqual({
      objectPhrase: 'red ball',
      backgroundPhrase: 'at sea',
    });
  });

  it('gives an article to the word that follows it', () => {
    expect(partPhrases(labelled('at/b sea/b The/b ball/o in a/o forest/b'))).toEqual({
      objectPhrase: 'The ball',
      backgroundPhrase: 'at sea a forest',
    });
  });

  it('keeps an unknown word after an article and leaves no article alone', () => {
    expect(partPhrases(labelled('a/o zorbly ball/o a/o clip at/b sea/b'))).toEqual({
      objectPhrase: 'a zorbly ball',
      backgroundPhrase: 'at sea',
    });
  });

  it('joins the pieces of a part and drops the punctuation at their ends', () => {
    expect(
      partPhrases(labelled('at/b dawn,/b a/o ball/o rising/o in/b woods,/b camera/b panning./b')),
    ).toEqual({
      objectPhrase: 'a ball rising',
      backgroundPhrase: 'at dawn in woods, camera panning',
    });
  });
});

describe('ModelPromptSplitter', () => {
  let tokenizer: PromptTokenizer;

  beforeAll(async () => {
    tokenizer = await PromptTokenizer.open(await loadManifest(DEMO_PACKAGE));
  });

  /** Labels the tokens in order; a token beyond the list is `other`. */
  function labelling(...tokens: (typeof LABELS)[number][]): TokenLabeller {
    return {
      async embedText() {
        const data = new Float32Array(32 * LABELS.length);
        for (const [position, label] of tokens.entries()) {
          data[position * LABELS.length + LABELS.indexOf(label)] = 1;
        }
        return { partLogits: { data, shape: [32, LABELS.length] } };
      },
    };
  }

  it('maps token labels back to the original words', async () => {
    // Prepare: the comma is a token of its own.
    const labeller = labelling('object', 'object', 'other', 'background', 'background');

    // Act
    const parts = await new ModelPromptSplitter(labeller, tokenizer, LABELS).split(
      'Red Ball, at NIGHT',
    );

    // Assess
    expect(parts).toMatchObject({ objectPhrase: 'Red Ball', backgroundPhrase: 'at NIGHT' });
  });

  it('labels each word with the part that its phrase is of, and those that were cut with none', async () => {
    // Prepare
    const labeller = labelling('other', 'object', 'other', 'object', 'background', 'background');
    const splitter = new ModelPromptSplitter(labeller, tokenizer, LABELS);

    // Act
    const words = await splitter.labelWords(`the ball is red at night ${'ball '.repeat(40)}`);

    // Assess
    expect(words.slice(0, 6).map(({ label }) => label)).toEqual([
      ...Array<string>(4).fill('object'),
      ...Array<string>(2).fill('background'),
    ]);
    expect(words.at(-1)).toEqual({ text: 'ball', label: 'other' });
  });

  it('lets the majority of its tokens label a word', async () => {
    // Prepare: red-ball-meadow is five tokens, red - ball - meadow.
    const labeller = labelling('background', 'other', 'object', 'other', 'object');

    // Act
    const parts = await new ModelPromptSplitter(labeller, tokenizer, LABELS).split(
      'red-ball-meadow',
    );

    // Assess
    expect(parts).toMatchObject({ objectPhrase: 'red-ball-meadow', backgroundPhrase: null });
  });

  it('labels nothing beyond the tokens that fit', async () => {
    // Prepare
    const labeller = labelling(...Array<'object'>(32).fill('object'));

    // Act
    const parts = await new ModelPromptSplitter(labeller, tokenizer, LABELS).split(
      'ball '.repeat(40),
    );

    // Assess
    expect(parts.objectPhrase).toBe('ball '.repeat(32).trim());
  });

  it('finds no part in an empty prompt without asking the model', async () => {
    // Prepare
    const labeller: TokenLabeller = {
      embedText: () => Promise.reject(new Error('asked')),
    };

    // Act
    const parts = await new ModelPromptSplitter(labeller, tokenizer, LABELS).split(' ');

    // Assess
    expect(parts).toEqual({ objectPhrase: null, backgroundPhrase: null });
  });

  it('gives words that the model does not know to what they stand with', async () => {
    // Prepare
    const modelPackage = await loadManifest(DEMO_PACKAGE);
    const embedder = await OnnxTextEmbedder.open(modelPackage, { inThread: false });
    const splitter = new ModelPromptSplitter(
      embedder,
      embedder.tokenizer,
      modelPackage.manifest.splitter!.labels,
    );

    // Act
    const parts = await Promise.all(
      [
        'a green cube spinning in place in outer space',
        'a red kangaroo bouncing over a green savanna at noon',
        'The savanna is foggy. A red kangaroo is bouncing.',
        'AN ASTRONAUT RIDING A HORSE IN A KITCHEN',
        'a smal blue star risng over the ocaen',
        'the desert is crossed by a large red bal',
      ].map((prompt) => splitter.split(prompt)),
    );
    await embedder.close();

    // Assess
    expect(parts.map((part) => [part.objectPhrase, part.backgroundPhrase])).toEqual([
      ['a green cube spinning in place', 'in outer space'],
      ['a red kangaroo bouncing', 'over a green savanna at noon'],
      [expect.stringContaining('A red kangaroo is bouncing'), null],
      ['AN ASTRONAUT RIDING A HORSE', 'IN A KITCHEN'],
      ['a smal blue star risng', 'over the ocaen'],
      ['is by a large red bal', 'the desert crossed'],
    ]);
    expect(parts[4]!.reading!.unknownWords).toEqual(['smal', 'risng', 'ocaen']);
  });
});
