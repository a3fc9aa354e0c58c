import fc from 'fast-check';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';

export const COMPATIBILITY_KEY = 'model-1';

/** A small latent `[C, T, H, W]` with an object that moves over a still, noisy background. */
export function movingObject(seed: number, shape: [number, number, number, number]) {
  const [channels, frames, height, width] = shape;
  const texture = standardNormalNoise([channels, height, width], seed, 'texture').data;
  const noise = standardNormalNoise(shape, seed, 'noise').data;
  const data = new Float32Array(elementCount(shape));
  const mask = new Float32Array(frames * height * width);
  for (let index = 0; index < data.length; index++) {
    const spot = index % (height * width);
    const frame = Math.floor(index / (height * width)) % frames;
    const channel = Math.floor(index / (height * width * frames));
    const distance = Math.hypot(
      Math.floor(spot / width) - height / 2,
      (spot % width) - width / 4 - frame,
    );
    const isObject = distance < width / 8;
    if (isObject) mask[frame * height * width + spot] = 1;
    data[index] =
      (isObject ? 2 - channel : texture[channel * height * width + spot]!) + 0.1 * noise[index]!;
  }
  return {
    latent: { data, shape } satisfies Tensor,
    mask: { data: mask, shape: [frames, height, width] } satisfies Tensor,
    compatibilityKey: COMPATIBILITY_KEY,
  };
}

/** Latents of any small shape with any mask, wild values and dead channels included. */
export const anyLatent = fc
  .record({
    shape: fc.tuple(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
    ),
    maskShare: fc.constantFrom(0, 0.05, 0.3, 1),
    scale: fc.constantFrom(0, 1e-3, 1, 300),
    seed: fc.integer({ min: 0, max: 1e6 }),
  })
  .map(({ shape, maskShare, scale, seed }) => {
    const [, frames, height, width] = shape;
    const values = standardNormalNoise(shape, seed, 'values').data;
    const chances = standardNormalNoise([frames, height, width], seed, 'mask').data;
    return {
      latent: { data: values.map((value) => value * scale), shape } satisfies Tensor,
      mask: {
        data: chances.map((value) => (maskShare === 1 || value > 2 - 5 * maskShare ? 1 : 0)),
        shape: [frames, height, width],
      } satisfies Tensor,
      compatibilityKey: COMPATIBILITY_KEY,
    };
  });
