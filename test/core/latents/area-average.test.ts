import { describe, expect, it } from 'vitest';
import { averageAxis, averageToLatent, evenEdges, frameEdges } from '#core/latents/area-average.ts';

describe('averageAxis', () => {
  it('takes means over intervals of an inner axis', () => {
    const tensor = { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), shape: [2, 4] };

    expect(averageAxis(tensor, 1, [0, 1, 4])).toEqual({
      data: Float32Array.of(1, 3, 5, 7),
      shape: [2, 2],
    });
  });

  it('shares a position that an edge cuts', () => {
    const tensor = { data: Float32Array.of(0, 3, 6), shape: [3] };

    expect(averageAxis(tensor, 0, evenEdges(3, 2))).toEqual({
      data: Float32Array.of(1, 5),
      shape: [2],
    });
  });
});

describe('frameEdges', () => {
  it.each([
    ['as many frames for each latent frame', 16, 8, [0, 2, 4, 6, 8, 10, 12, 14, 16]],
    ['a first frame by itself', 13, 4, [0, 1, 5, 9, 13]],
    ['one frame', 1, 1, [0, 1]],
    ['a latent frame for each', 3, 3, [0, 1, 2, 3]],
  ])('knows VAEs with %s', (_, frames, latentFrames, edges) => {
    expect(frameEdges(frames, latentFrames)).toEqual(edges);
  });
});

describe('averageToLatent', () => {
  it('brings pixels to the positions of a causal latent', () => {
    // Three frames of 2x4 for two latent frames of 1x2: the left half lights up in the last frame.
    const [dark, left] = [
      [0, 0, 0, 0],
      [1, 1, 0, 0],
    ];
    const data = Float32Array.from([dark, dark, dark, left, left, left].flat() as number[]);

    expect(averageToLatent({ data, shape: [3, 2, 4] }, [2, 1, 2])).toEqual({
      data: Float32Array.of(0, 0, 0.75, 0),
      shape: [2, 1, 2],
    });
  });
});
