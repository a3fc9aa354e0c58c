import { describe, expect, it } from 'vitest';
import type { WordLabel } from '#models/label-words.ts';
import { objectWords } from '#models/object-words.ts';

/** The words that are chosen of an object's phrase and a background's. */
function chosen(object: string, background = ''): string {
  const labelled = (phrase: string, label: WordLabel) =>
    phrase.split(' ').flatMap((text) => (text === '' ? [] : [{ text, label }]));
  const words = [...labelled(object, 'object'), ...labelled(background, 'background')];
  const isChosen = objectWords(words);
  return words.flatMap(({ text }, index) => (isChosen[index]! ? [text] : [])).join(' ');
}

describe('objectWords', () => {
  it.each([
    ['a small blue star rolling', 'over a green meadow', 'star'],
    ['An astronaut riding a white horse', 'in a kitchen', 'astronaut horse'],
    ['a gold ring', '', 'ring'],
    ['a golden retriever puppy, barking', 'at the moon', 'retriever puppy,'],
  ])('has the nouns of %s', (object, background, expected) => {
    expect(chosen(object, background)).toBe(expected);
  });

  it('has all of a phrase without a noun but its articles', () => {
    expect(chosen('the running')).toBe('running');
    expect(chosen('', 'in the desert')).toBe('');
  });
});
