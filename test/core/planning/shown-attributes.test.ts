import { describe, expect, it } from 'vitest';
import {
  compareShown,
  namedValues,
  shownAttributes,
  type JudgedAttribute,
} from '#core/planning/shown-attributes.ts';

const JUDGED: readonly JudgedAttribute[] = [
  { name: 'shape', part: 'object', values: ['ball', 'square'] },
  { name: 'motion', part: 'object', values: ['circle', 'spin', 'rise'] },
  { name: 'scene', part: 'background', values: ['ocean', 'city'] },
];

describe('what a judge is sure of', () => {
  it('is the most probable value where it is clear, and nothing where it is not', () => {
    const logits = Float32Array.of(0, 9, 1, 1.2, 0, 8, 0);

    expect(shownAttributes(JUDGED, logits)).toEqual({ shape: 'square', scene: 'ocean' });
  });

  it('holds with logits of any size', () => {
    const logits = Float32Array.of(900, 0, 0, 900, 0, -900, 0);

    expect(shownAttributes(JUDGED, logits)).toEqual({
      shape: 'ball',
      motion: 'spin',
      scene: 'city',
    });
  });
});

describe('a video that shows another value', () => {
  const shown = { shape: 'square', motion: 'circle', scene: 'city' };
  const contradicts = (
    part: 'whole' | 'object' | 'background',
    object: string | null,
    background: string | null = null,
  ): boolean => compareShown(JUDGED, shown, part, { object, background }).contradicted > 0;

  it.each(['a red ball', 'Balls', 'a square-less thing rising', 'something spinning'])(
    'contradicts %s',
    (object) => {
      expect(contradicts('object', object)).toBe(true);
    },
  );

  it.each(['a red square', 'circling squares', 'a ball in a square', 'a cube', null])(
    'does not contradict %s',
    (object) => {
      expect(contradicts('object', object)).toBe(false);
    },
  );

  it('contradicts by the part that is wanted of it, and as a whole by both', () => {
    expect(contradicts('object', 'a square', 'over the ocean')).toBe(false);
    expect(contradicts('background', 'a ball', 'in the city')).toBe(false);
    expect(contradicts('whole', 'a square', 'over the ocean')).toBe(true);
    expect(contradicts('whole', 'a ball', 'in the city')).toBe(true);
  });

  it('contradicts nothing of which nobody was sure, but is doubted', () => {
    const phrases = { object: 'a ball spinning', background: null };
    expect(compareShown(JUDGED, {}, 'whole', phrases)).toEqual({
      contradicted: 0,
      doubted: 2,
      confirmed: 0,
    });
    expect(compareShown(JUDGED, { shape: 'ball' }, 'whole', phrases)).toEqual({
      contradicted: 0,
      doubted: 1,
      confirmed: 1,
    });
  });
});

describe('values that a text names', () => {
  const attributes: readonly JudgedAttribute[] = [
    {
      name: 'shape',
      part: 'object',
      values: ['ball', 'square'],
      words: [['sphere', 'orb'], ['box']],
    },
    {
      name: 'motion',
      part: 'object',
      values: ['right', 'left'],
      words: [['gliding from left to right'], ['gliding from right to left']],
    },
    { name: 'light', part: 'background', values: ['noon', 'night'], words: [['by day'], []] },
  ];

  it.each([
    ['a tiny sphere', ['ball'], [], []],
    ['an orb gliding from left to right', ['ball'], ['right'], []],
    ['a box drifting to the left', ['square'], ['left'], []],
    ['over a meadow, by day', [], [], ['noon']],
    ['a daybed', [], [], []],
    ['balls and boxes', ['ball', 'square'], [], []],
  ])('are those of %s', (text, ...named) => {
    expect(namedValues(attributes, text)).toEqual(named);
  });

  it("contradict a video by the package's other words for them", () => {
    const shown = { shape: 'square', light: 'night' };
    const phrases = { object: 'a sphere', background: 'by day' };
    expect(compareShown(attributes, shown, 'whole', phrases)).toEqual({
      contradicted: 2,
      doubted: 0,
      confirmed: 0,
    });
    expect(compareShown(attributes, { shape: 'ball' }, 'whole', phrases)).toEqual({
      contradicted: 0,
      doubted: 1,
      confirmed: 1,
    });
  });
});
