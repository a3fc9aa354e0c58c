import type { Tensor } from '#core/tensor.ts';
import { standardNormalNoise } from '#core/noise.ts';
import { createRandomSource } from '#core/random.ts';

const CHANNELS = 16;
const FRAMES = 8;
const EXTENT = 16;

/** A made-up latent `[16, 8, 16, 16]` and its mask: what the codec is tried on before a model exists. */
export interface SyntheticLatent {
  latent: Tensor;
  mask: Tensor;
}

/**
 * A smooth static background, a blob that crosses it, and white noise; each channel has a standard
 * deviation of 1.
 *
 * @param noise standard deviation of the noise that changes in every frame
 */
export function syntheticLatent(seed: number, noise: number): SyntheticLatent {
  const random = createRandomSource(seed, 'synthetic-latent');
  const uniform = (low: number, high: number): number =>
    low + ((high - low) * random.nextUint32()) / 2 ** 32;
  const radius = uniform(1.5, 3.5);
  const start = [uniform(3, 12), uniform(3, 12)] as const;
  const speed = [uniform(-0.8, 0.8), uniform(-0.8, 0.8)] as const;
  const white = standardNormalNoise([CHANNELS, FRAMES, EXTENT, EXTENT], seed, 'white');
  const texture = standardNormalNoise([CHANNELS, EXTENT, EXTENT], seed, 'texture');
  const data = new Float32Array(white.data.length);
  const mask = new Float32Array(FRAMES * EXTENT * EXTENT);
  for (let channel = 0; channel < CHANNELS; channel++) {
    const waves = Array.from({ length: 3 }, () => ({
      y: uniform(-0.6, 0.6),
      x: uniform(-0.6, 0.6),
      phase: uniform(0, 6.3),
      height: uniform(0.3, 0.8),
    }));
    const objectLevel = uniform(-2.5, 2.5);
    for (let frame = 0; frame < FRAMES; frame++) {
      const centreY = start[0] + speed[0] * frame;
      const centreX = start[1] + speed[1] * frame;
      for (let y = 0; y < EXTENT; y++) {
        for (let x = 0; x < EXTENT; x++) {
          const spot = y * EXTENT + x;
          const index = (channel * FRAMES + frame) * EXTENT * EXTENT + spot;
          let value = 0.3 * texture.data[channel * EXTENT * EXTENT + spot]!;
          for (const wave of waves) {
            value += wave.height * Math.sin(wave.y * y + wave.x * x + wave.phase);
          }
          const distance = ((y - centreY) ** 2 + (x - centreX) ** 2) / radius ** 2;
          const cover = Math.exp(-(distance ** 2));
          data[index] = (1 - cover) * value + cover * objectLevel + noise * white.data[index]!;
          if (cover > 0.5) mask[frame * EXTENT * EXTENT + spot] = 1;
        }
      }
    }
  }
  normaliseChannels(data);
  return {
    latent: { data, shape: [CHANNELS, FRAMES, EXTENT, EXTENT] },
    mask: { data: mask, shape: [FRAMES, EXTENT, EXTENT] },
  };
}

function normaliseChannels(data: Float32Array): void {
  const size = data.length / CHANNELS;
  for (let channel = 0; channel < CHANNELS; channel++) {
    const values = data.subarray(channel * size, (channel + 1) * size);
    const mean = values.reduce((sum, value) => sum + value, 0) / size;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
    for (let index = 0; index < size; index++) {
      values[index] = (values[index]! - mean) / Math.sqrt(variance);
    }
  }
}
