import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layOutBlocks } from '#codec/blocks.ts';
import { ChannelBasis } from '#codec/channel-basis.ts';
import { fromCoefficients, toCoefficients } from '#codec/transform.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';

/** Axes of one position, of one block, and of blocks of unequal sides. */
const anyExtents = fc.record({
  channels: fc.integer({ min: 1, max: 3 }),
  frames: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant(33)),
  height: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(17)),
  width: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(35)),
});

const energy = (values: Float32Array): number =>
  values.reduce((sum, value) => sum + value * value, 0);

describe('the transform of blocks', () => {
  it('keeps the sum of squares and gives the latent back, whatever its extents', () => {
    fc.assert(
      fc.property(anyExtents, fc.nat(100), (extents, seed) => {
        const { channels, frames, height, width } = extents;
        const { data } = standardNormalNoise([channels, frames, height, width], seed, 'latent');
        const layout = layOutBlocks(extents);

        const coefficients = toCoefficients(data, layout);
        const back = fromCoefficients(coefficients, layout);

        expect(energy(coefficients) / energy(data)).toBeCloseTo(1, 4);
        for (const [index, value] of back.entries()) {
          expect(Math.abs(value - data[index]!)).toBeLessThan(1e-4);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('has a latent that does not change in its first frequency alone', () => {
    const extents = { channels: 2, frames: 8, height: 16, width: 16 };
    const coefficients = toCoefficients(
      new Float32Array(2 * 8 * 16 * 16).fill(1),
      layOutBlocks(extents),
    );
    expect([...coefficients.subarray(0, 2)].map((value) => Math.round(value * 1e3) / 1e3)).toEqual([
      45.255, 45.255,
    ]);
    expect(energy(coefficients.subarray(2))).toBeLessThan(1e-5);
  });

  it('comes to every frequency after those below it', () => {
    const layout = layOutBlocks({ channels: 1, frames: 5, height: 4, width: 6 });
    for (let frequency = 0; frequency < layout.frequencies; frequency++) {
      expect(layout.belowTime[frequency]).toBeLessThan(frequency);
      expect(layout.belowRow[frequency]).toBeLessThan(frequency);
      expect(layout.belowColumn[frequency]).toBeLessThan(frequency);
    }
  });
});

describe('the basis of the channels', () => {
  it('is orthonormal, and has what goes together in its first component', () => {
    const noise = standardNormalNoise([3, 400], 1, 'channels').data;
    const finder = new ChannelBasis(3);
    const lines = Array.from({ length: 400 }, (_, index) => {
      const [common, second, third] = [noise[index]!, noise[400 + index]!, noise[800 + index]!];
      return Float32Array.of(common + 0.1 * second, -common, 0.3 * third);
    });
    for (const line of lines) finder.add(line);
    const basis = finder.find();

    const energies = [0, 0, 0];
    for (const line of lines) {
      const components = line.slice();
      basis.enter(components, 0);
      const back = components.slice();
      basis.leave(back, 0);
      for (const [channel, value] of line.entries()) expect(back[channel]).toBeCloseTo(value, 5);
      for (const [component, value] of components.entries()) energies[component]! += value ** 2;
    }
    expect(energies[0]! / energies.reduce((sum, energy) => sum + energy)).toBeGreaterThan(0.94);
    expect(energies).toEqual(energies.toSorted((left, right) => right - left));
  });
});
