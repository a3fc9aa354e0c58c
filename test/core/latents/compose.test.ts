import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backgroundPart,
  composeDonors,
  dilate,
  fillHoles,
  objectPart,
} from '#core/latents/compose.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { codeOf } from '../code-of.ts';

const FRAMES = 2;
const HEIGHT = 3;
const WIDTH = 4;
const POSITIONS = FRAMES * HEIGHT * WIDTH;

const filledWith = (value: number, count: number): number[] =>
  Array.from({ length: count }, () => value);
const latentOf = (data: Iterable<number>, channels = 1): Tensor => ({
  data: Float32Array.from(data),
  shape: [channels, FRAMES, HEIGHT, WIDTH],
});
const maskOf = (data: Iterable<number>): Tensor => ({
  data: Float32Array.from(data),
  shape: [FRAMES, HEIGHT, WIDTH],
});
const maskAt = (...positions: number[]): Tensor => {
  const mask = maskOf(filledWith(0, POSITIONS));
  for (const position of positions) mask.data[position] = 1;
  return mask;
};
const anyMask = fc
  .array(fc.constantFrom(0, 1), { minLength: POSITIONS, maxLength: POSITIONS })
  .map(maskOf);
const anyLatent = fc
  .array(fc.integer({ min: -8, max: 8 }), { minLength: 2 * POSITIONS, maxLength: 2 * POSITIONS })
  .map((values) => latentOf(values, 2));

describe('dilate', () => {
  it('grows by one position inside the frame only', () => {
    const dilated = dilate(maskAt(0));
    // prettier-ignore
    expect([...dilated.data]).toEqual([
      1, 1, 0, 0,
      1, 1, 0, 0,
      0, 0, 0, 0,
      0, 0, 0, 0,
      0, 0, 0, 0,
      0, 0, 0, 0,
    ]);
  });

  it('does not run over the edge of a row', () => {
    // prettier-ignore
    expect([...dilate(maskAt(7)).data].slice(0, 12)).toEqual([
      0, 0, 1, 1,
      0, 0, 1, 1,
      0, 0, 1, 1,
    ]);
  });

  it('refuses a mask whose shape and data disagree', () => {
    expect(codeOf(() => dilate({ data: new Float32Array(3), shape: [1, 2, 2] }))).toBe(
      'invalid_input',
    );
  });
});

describe('fillHoles', () => {
  it('takes the mean over the frames that show the position', () => {
    const latent = latentOf(Array.from({ length: POSITIONS }, (_, index) => index));

    const filled = fillHoles(latent, maskAt(0));

    expect(filled.data[0]).toBe(12);
    expect(filled.data[5]).toBe(17);
    expect(filled.data[12]).toBe(12);
    expect(filled.data[2]).toBe(2);
  });

  it('fills what is never visible from its neighbours outward, in each frame', () => {
    const latent = latentOf(Array.from({ length: POSITIONS }, (_, i) => (i < 12 ? 1 : 3)));

    const filled = fillHoles(latent, maskAt(4, 16));

    expect([...filled.data.subarray(0, 12)]).toEqual(filledWith(1, 12));
    expect([...filled.data.subarray(12)]).toEqual(filledWith(3, 12));
  });

  it('fills rings in order: the far column is the mean of the ring before it', () => {
    const latent = latentOf([0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 6, ...filledWith(0, 12)]);

    const filled = fillHoles(latent, maskAt(1, 5, 9, 13, 17, 21));

    // Column 3 is visible: 2, 4, 6. Column 2 takes the means of its neighbours there.
    expect(filled.data[2]).toBe(3);
    expect(filled.data[6]).toBe(4);
    expect(filled.data[10]).toBe(5);
    expect(filled.data[1]).toBe(3.5);
    expect(filled.data[5]).toBe(4);
    expect(filled.data[0]).toBe(3.75);
  });

  it('is 0 when nothing is ever visible', () => {
    const filled = fillHoles(latentOf(filledWith(5, POSITIONS)), maskOf(filledWith(1, POSITIONS)));
    expect([...filled.data]).toEqual(filledWith(0, POSITIONS));
  });

  it('keeps what is visible and never reads what is hidden', () => {
    fc.assert(
      fc.property(anyLatent, anyMask, (latent, mask) => {
        const inside = dilate(mask).data;
        const altered = latentOf(
          latent.data.map((value, i) => (inside[i % POSITIONS] === 1 ? 1000 : value)),
          2,
        );

        const filled = fillHoles(latent, mask);

        expect(fillHoles(altered, mask).data).toEqual(filled.data);
        for (const [index, value] of filled.data.entries()) {
          if (inside[index % POSITIONS] === 0) expect(value).toBe(latent.data[index]);
        }
      }),
    );
  });
});

describe('composeDonors', () => {
  it('puts an object back on its own background', () => {
    fc.assert(
      fc.property(anyLatent, anyMask, (latent, mask) => {
        const composed = composeDonors(
          { object: objectPart(latent, mask), dilatedMask: dilate(mask) },
          backgroundPart(latent, mask),
        );
        expect(composed.data).toEqual(latent.data);
      }),
    );
  });

  it('leaves 0 around an object without a background', () => {
    const latent = latentOf(filledWith(2, POSITIONS));
    const composed = composeDonors({ object: latent, dilatedMask: dilate(maskAt(0)) }, null);
    expect(composed.data[5]).toBe(2);
    expect(composed.data[6]).toBe(0);
  });

  it('is the background alone when there is no object, as a copy', () => {
    const background = latentOf(filledWith(2, POSITIONS));
    const composed = composeDonors(null, background);
    composed.data[0] = 9;
    expect(background.data[0]).toBe(2);
    expect(composed.data[1]).toBe(2);
  });

  it('refuses no donors, and donors of different shapes', () => {
    const object = { object: latentOf(filledWith(2, POSITIONS)), dilatedMask: maskAt(0) };
    const other = latentOf(filledWith(2, 2 * POSITIONS), 2);
    expect(codeOf(() => composeDonors(null, null))).toBe('invalid_input');
    expect(codeOf(() => composeDonors(object, other))).toBe('invalid_input');
    expect(
      codeOf(() =>
        composeDonors(
          { ...object, dilatedMask: { data: new Float32Array(1), shape: [1, 1, 1] } },
          null,
        ),
      ),
    ).toBe('invalid_input');
  });
});
