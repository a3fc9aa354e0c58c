import { createRandomSource } from '#core/random.ts';
import type { Tensor } from '#core/latents/tensor.ts';

const BACKGROUND_TILE = 1024;
const OBJECT_TILE = 256;
const OCTAVES = 6;

/** A square of colours around 0 that repeats in both directions. */
interface Texture {
  side: number;
  /** `[side, side, 3]` */
  colours: Float32Array;
}

/**
 * A made-up video `[F, 3, H, W]` in 0..1 for measuring encoders: a textured ground that the camera
 * moves over, a textured disc that crosses it and turns, and grain.
 *
 * @param grain standard deviation of the noise that changes in every frame and colour; 0.004 is one of 256 levels
 */
export function syntheticVideo(
  [frames, height, width]: readonly [number, number, number],
  grain: number,
  seed = 1,
): Tensor {
  const random = createRandomSource(seed, 'synthetic-video');
  const uniform = (): number => random.nextUint32() / 2 ** 32;
  const ground = texture(BACKGROUND_TILE, uniform);
  const object = texture(OBJECT_TILE, uniform);
  const pixels = height * width;
  const data = new Float32Array(frames * 3 * pixels);
  const radius = height * 0.18;
  for (let frame = 0; frame < frames; frame++) {
    const centreX = width * (0.2 + (0.6 * frame) / frames);
    const centreY = height * (0.5 + 0.2 * Math.sin(frame / 9));
    const cosine = Math.cos(0.03 * frame);
    const sine = Math.sin(0.03 * frame);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const right = x - centreX;
        const down = y - centreY;
        const cover = Math.min(1, Math.max(0, (radius - Math.hypot(right, down)) / 2));
        for (let channel = 0; channel < 3; channel++) {
          let value = 0.5 + 0.6 * at(ground, x + 1.3 * frame, y + 0.4 * frame, channel);
          if (cover > 0) {
            const turned = at(
              object,
              cosine * right - sine * down,
              sine * right + cosine * down,
              channel,
            );
            const shade = 0.45 + (channel === 0 ? 0.2 : -0.1) + 0.7 * turned;
            value += cover * (shade - value);
          }
          // Twice a sum of three uniform numbers has a standard deviation of 1.
          if (grain > 0) value += grain * 2 * (uniform() + uniform() + uniform() - 1.5);
          data[(frame * 3 + channel) * pixels + y * width + x] = Math.min(1, Math.max(0, value));
        }
      }
    }
  }
  return { data, shape: [frames, 3, height, width] };
}

/** Octaves of interpolated noise, each with half the extent and a little more than half the height. */
function texture(side: number, uniform: () => number): Texture {
  const whole = { side, colours: new Float32Array(side * side * 3) };
  for (let octave = 0; octave < OCTAVES; octave++) {
    const grid = 4 << octave;
    const noise = {
      side: grid,
      colours: Float32Array.from({ length: grid * grid * 3 }, () => uniform() - 0.5),
    };
    const height = (1 << octave) ** -0.9;
    let index = 0;
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        for (let channel = 0; channel < 3; channel++) {
          whole.colours[index++]! +=
            height * at(noise, (x * grid) / side, (y * grid) / side, channel);
        }
      }
    }
  }
  return whole;
}

/** Between four colours, in proportion. */
function at({ side, colours }: Texture, x: number, y: number, channel: number): number {
  const left = Math.floor(x);
  const top = Math.floor(y);
  const colour = (column: number, row: number): number =>
    colours[
      ((((row % side) + side) % side) * side + (((column % side) + side) % side)) * 3 + channel
    ]!;
  const upper = colour(left, top) + (x - left) * (colour(left + 1, top) - colour(left, top));
  const lower =
    colour(left, top + 1) + (x - left) * (colour(left + 1, top + 1) - colour(left, top + 1));
  return upper + (y - top) * (lower - upper);
}
