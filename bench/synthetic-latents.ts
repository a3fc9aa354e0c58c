import type { Tensor } from '#core/latents/tensor.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { createRandomSource } from '#core/random.ts';

/** Of the demo package: `[C, T, H, W]`. */
export const DEMO_SHAPE: LatentShape = [16, 8, 16, 16];

export type LatentShape = readonly [
  channels: number,
  frames: number,
  height: number,
  width: number,
];

/** A made-up latent and its mask: what the codec is tried on where there is no model of a shape. */
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
export function syntheticLatent(
  seed: number,
  noise: number,
  shape: LatentShape = DEMO_SHAPE,
): SyntheticLatent {
  const [channels, frames, height, width] = shape;
  // Sizes and speeds are those of a frame of 16 positions.
  const unit = Math.min(height, width) / 16;
  const random = createRandomSource(seed, 'synthetic-latent');
  const uniform = (low: number, high: number): number =>
    low + ((high - low) * random.nextUint32()) / 2 ** 32;
  const radius = unit * uniform(1.5, 3.5);
  const start = [(height / 16) * uniform(3, 12), (width / 16) * uniform(3, 12)] as const;
  const speed = [unit * uniform(-0.8, 0.8), unit * uniform(-0.8, 0.8)] as const;
  const white = standardNormalNoise(shape, seed, 'white');
  const texture = standardNormalNoise([channels, height, width], seed, 'texture');
  const data = new Float32Array(white.data.length);
  const mask = new Float32Array(frames * height * width);
  for (let channel = 0; channel < channels; channel++) {
    const waves = Array.from({ length: 3 }, () => ({
      y: uniform(-0.6, 0.6) / unit,
      x: uniform(-0.6, 0.6) / unit,
      phase: uniform(0, 6.3),
      height: uniform(0.3, 0.8),
    }));
    const objectLevel = uniform(-2.5, 2.5);
    for (let frame = 0; frame < frames; frame++) {
      const centreY = start[0] + speed[0] * frame;
      const centreX = start[1] + speed[1] * frame;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const spot = y * width + x;
          const index = (channel * frames + frame) * height * width + spot;
          let value = 0.3 * texture.data[channel * height * width + spot]!;
          for (const wave of waves) {
            value += wave.height * Math.sin(wave.y * y + wave.x * x + wave.phase);
          }
          const distance = ((y - centreY) ** 2 + (x - centreX) ** 2) / radius ** 2;
          const cover = Math.exp(-(distance ** 2));
          data[index] = (1 - cover) * value + cover * objectLevel + noise * white.data[index]!;
          if (cover > 0.5) mask[frame * height * width + spot] = 1;
        }
      }
    }
  }
  normaliseChannels(data, channels);
  return {
    latent: { data, shape: shape },
    mask: { data: mask, shape: [frames, height, width] },
  };
}

function normaliseChannels(data: Float32Array, channels: number): void {
  const size = data.length / channels;
  for (let channel = 0; channel < channels; channel++) {
    const values = data.subarray(channel * size, (channel + 1) * size);
    const mean = values.reduce((sum, value) => sum + value, 0) / size;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
    for (let index = 0; index < size; index++) {
      values[index] = (values[index]! - mean) / Math.sqrt(variance);
    }
  }
}
