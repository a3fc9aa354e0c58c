import { describe, expect, it } from 'vitest';
import { loadManifest } from '#models/manifest.ts';
import { ParserPromptSplitter } from '#models/parser-prompt-splitter.ts';
import { PromptTokenizer } from '#models/tokenizer.ts';
import { DEMO_PACKAGE } from './package-fixture.ts';

const tokenizer = await PromptTokenizer.open(await loadManifest(DEMO_PACKAGE));

async function split(prompt: string): Promise<[string | null, string | null]> {
  const parts = await new ParserPromptSplitter(tokenizer).split(prompt);
  return [parts.objectPhrase, parts.backgroundPhrase];
}

describe('ParserPromptSplitter', () => {
  it.each<[string, string, string | null, string | null]>([
    [
      'a clause and a place',
      'An old man reading a book beside a fireplace',
      'An old man reading a book',
      'beside a fireplace',
    ],
    [
      'a passive with its agent',
      'the desert is crossed by a large red truck',
      'by a large red truck',
      'the desert is crossed',
    ],
    [
      'a passive of what is around',
      'a small star is surrounded by tall trees at night',
      'a small star is surrounded',
      'by tall trees at night',
    ],
    [
      'the place first',
      'under a starry sky, two penguins dance slowly',
      'two penguins dance slowly',
      'under a starry sky',
    ],
    [
      'a verb after the place',
      'on a sunny day a kite over the sea is growing larger',
      'a kite is growing larger',
      'on a sunny day over the sea',
    ],
    ['several objects', 'two dogs and a cat chase a ball', 'two dogs and a cat chase a ball', null],
    [
      'clothes',
      'a boy in a red jacket runs across a muddy field',
      'a boy in a red jacket runs',
      'across a muddy field',
    ],
    [
      'a manner',
      'A LANTERN SPINNING IN PLACE ABOVE A VILLAGE',
      'A LANTERN SPINNING IN PLACE',
      'ABOVE A VILLAGE',
    ],
    [
      'a direction',
      'a wooden boat drifting to the right on a calm river',
      'a wooden boat drifting to the right',
      'on a calm river',
    ],
    [
      'a backdrop',
      'A boat sailing along the Seine with the Eiffel Tower in the background',
      'A boat sailing',
      'along the Seine with the Eiffel Tower in the background',
    ],
    [
      'words alone',
      'red diamond, spinning, dark forest, midnight',
      'red diamond, spinning',
      'dark forest, midnight',
    ],
    [
      'a style and the camera',
      'An astronaut flying in space, in cyberpunk style, zoom out',
      'An astronaut flying',
      'in space, in cyberpunk style, zoom out',
    ],
    ['typos', 'a smal bleu bird risng over the ocaen', 'a smal bleu bird risng', 'over the ocaen'],
    ['no background', 'a person is eating spaghetti', 'a person is eating spaghetti', null],
    ['no object', 'a mountain lake at dawn', null, 'a mountain lake at dawn'],
    ['another language', '一只红色的球在草地上', '一只红色的球在草地上', null],
    ['nothing', ' ', null, null],
  ])('finds the parts of %s', async (_, prompt, object, background) => {
    expect(await split(prompt)).toEqual([object, background]);
  });

  it('reads a long prompt of several sentences', async () => {
    const [object, background] = await split(
      'A medium shot of an elderly woman with silver hair, wearing a green sweater. She slowly pours tea. Behind her there is a rainy window at dusk.',
    );

    expect(object).toMatch(/elderly woman .* green sweater.*pours tea/);
    expect(background).toMatch(/^Behind her .* at dusk$/);
  });

  it('says what the model does not take in', async () => {
    const { reading } = await new ParserPromptSplitter(tokenizer).split('a red kangaroo');

    expect(reading).toEqual({ unknownWords: ['kangaroo'], cutTokens: 0, cutWords: [] });
  });
});
