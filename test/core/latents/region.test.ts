import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dilate } from '#core/latents/compose.ts';
import {
  contextTokens,
  liveShare,
  objectRegion,
  pasteRegion,
  type TokenPatch,
} from '#core/latents/region.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { codeOf } from '../code-of.ts';

const SHAPE = [4, 4, 6] as const;
const POSITIONS = 96;
const PATCH: TokenPatch = { frames: 2, height: 2, width: 3 };

const maskAt = (...positions: number[]): Tensor => {
  const mask: Tensor = { data: new Float32Array(POSITIONS), shape: SHAPE };
  for (const position of positions) mask.data[position] = 1;
  return mask;
};
const anyMask = fc
  .uniqueArray(fc.nat(POSITIONS - 1), { maxLength: 12 })
  .map((positions) => maskAt(...positions));
const anyMargin = fc.nat(2);
const anyLatent = fc
  .array(fc.integer({ min: -8, max: 8 }), { minLength: 2 * POSITIONS, maxLength: 2 * POSITIONS })
  .map((values): Tensor => ({ data: Float32Array.from(values), shape: [2, ...SHAPE] }));

describe('objectRegion', () => {
  it('numbers tokens by frame, row and column', () => {
    // Prepare: frame 3, row 2, column 4 of [4, 4, 6]
    const object = maskAt((3 * 4 + 2) * 6 + 4);

    // Act
    const region = objectRegion(object, PATCH, 0);

    // Assess
    expect(region.tokens).toEqual([7]);
    expect(region.total).toBe(8);
  });

  it('has every token that the grown object touches, and no other', () => {
    fc.assert(
      fc.property(anyMask, anyMargin, (object, margin) => {
        let grown = object;
        for (let ring = 0; ring < margin; ring++) grown = dilate(grown);
        const touched = new Set<number>();
        for (let frame = 0; frame < 4; frame++) {
          for (let y = 0; y < 4; y++) {
            for (let x = 0; x < 6; x++) {
              if (grown.data[(frame * 4 + y) * 6 + x] === 0) continue;
              touched.add(Math.floor(frame / 2) * 4 + Math.floor(y / 2) * 2 + Math.floor(x / 3));
            }
          }
        }

        const { tokens } = objectRegion(object, PATCH, margin);

        expect(tokens).toEqual([...touched].sort((left, right) => left - right));
      }),
    );
  });

  it('has the tokens of the hole, and weighs them as its edge or inside', () => {
    // Prepare
    const object = maskAt((3 * 4 + 2) * 6 + 4);
    const hole = maskAt(0);

    // Act
    const region = objectRegion(object, PATCH, 0, hole);

    // Assess
    expect(region.tokens).toEqual([0, 7]);
    expect(region.weights.data[0]).toBe(1);
    expect(region.weights.data[2]).toBe(0.5);
    const other = { data: new Float32Array(24), shape: [1, 4, 6] };
    expect(codeOf(() => objectRegion(object, PATCH, 0, other))).toBe('invalid_input');
  });

  it('weighs the object fully, the outside not at all and the edge between in half', () => {
    fc.assert(
      fc.property(anyMask, anyMargin, (object, margin) => {
        const region = objectRegion(object, PATCH, margin);

        const live = new Set(region.tokens);
        region.weights.data.forEach((weight, position) => {
          const frame = Math.floor(position / 24);
          const y = Math.floor(position / 6) % 4;
          const x = position % 6;
          const token = Math.floor(frame / 2) * 4 + Math.floor(y / 2) * 2 + Math.floor(x / 3);
          if (object.data[position]! > 0) expect(weight).toBe(1);
          else if (!live.has(token)) expect(weight).toBe(0);
          else expect([0.5, 1]).toContain(weight);
        });
      }),
    );
  });

  it('is all of the latent, without an edge, when every token is live', () => {
    const everywhere = maskAt(...Array.from({ length: POSITIONS }, (_, position) => position));

    const region = objectRegion(everywhere, PATCH, 1);

    expect(liveShare(region.tokens.length, region.total)).toBe(1);
    expect(contextTokens(region)).toEqual([]);
    expect(region.weights.data.every((weight) => weight === 1)).toBe(true);
  });

  it('is empty without an object', () => {
    const region = objectRegion(maskAt(), PATCH, 1);

    expect(region.tokens).toEqual([]);
  });

  it('refuses a patch that does not fill the latent', () => {
    expect(codeOf(() => objectRegion(maskAt(), { frames: 1, height: 3, width: 2 }, 0))).toBe(
      'invalid_input',
    );
  });
});

describe('contextTokens', () => {
  it('are all tokens that are not live', () => {
    fc.assert(
      fc.property(anyMask, (object) => {
        const region = objectRegion(object, PATCH, 0);

        const all = [...region.tokens, ...contextTokens(region)].sort((a, b) => a - b);

        expect(all).toEqual(Array.from({ length: region.total }, (_, token) => token));
      }),
    );
  });
});

describe('pasteRegion', () => {
  it('keeps the background to the bit outside and the live latent to the bit in the object', () => {
    fc.assert(
      fc.property(anyMask, anyLatent, anyLatent, (object, live, background) => {
        const region = objectRegion(object, PATCH, 1);

        const pasted = pasteRegion(live, background, region);

        pasted.data.forEach((value, index) => {
          const weight = region.weights.data[index % POSITIONS]!;
          if (weight === 0) expect(value).toBe(background.data[index]);
          else if (weight === 1) expect(value).toBe(live.data[index]);
          else expect(value).toBe((live.data[index]! + background.data[index]!) / 2);
        });
      }),
    );
  });

  it('never reads what the live latent has outside', () => {
    const object = maskAt(0);
    const region = objectRegion(object, PATCH, 0);
    const background: Tensor = { data: new Float32Array(POSITIONS).fill(2), shape: [1, ...SHAPE] };
    const live: Tensor = {
      data: region.weights.data.map((weight) => (weight === 0 ? NaN : 1)),
      shape: background.shape,
    };

    expect(pasteRegion(live, background, region).data.every(Number.isFinite)).toBe(true);
  });

  it('refuses latents of different shapes', () => {
    const region = objectRegion(maskAt(0), PATCH, 0);
    const live: Tensor = { data: new Float32Array(POSITIONS), shape: [1, ...SHAPE] };
    const background: Tensor = { data: new Float32Array(2 * POSITIONS), shape: [2, ...SHAPE] };

    expect(codeOf(() => pasteRegion(live, background, region))).toBe('invalid_input');
  });
});
