import { describe, expect, it } from 'vitest';
import { findMotion, followTracks, MOTION_CHOICES, STILL } from '#codec/tracks.ts';
import { restoreTracks, transformTracks } from '#codec/transform.ts';
import { standardNormalNoise } from '#core/noise.ts';

const EXTENTS = { channels: 2, frames: 3, height: 4, width: 5 };
const FRAME = EXTENTS.height * EXTENTS.width;
const EVERYWHERE = new Uint8Array(EXTENTS.frames * FRAME).fill(1);

/** A texture that moves one position to the right in every frame. */
function slidingLatent(): Float32Array {
  const texture = standardNormalNoise([2, 4, 9], 1, 'texture').data;
  const data = new Float32Array(2 * 3 * FRAME);
  for (let index = 0; index < data.length; index++) {
    const x = index % 5;
    const y = Math.floor(index / 5) % 4;
    const frame = Math.floor(index / FRAME) % 3;
    const channel = Math.floor(index / (3 * FRAME));
    data[index] = texture[(channel * 4 + y) * 9 + x - frame + 2]!;
  }
  return data;
}

describe('tracks', () => {
  it('stay in place when nothing moves', () => {
    const tracks = followTracks(EVERYWHERE, EXTENTS, new Uint8Array(3).fill(STILL));
    expect(tracks.count).toBe(FRAME);
    expect([...tracks.positions.subarray(0, 3)]).toEqual([0, FRAME, 2 * FRAME]);
  });

  it('go on where the background comes back from behind the object', () => {
    const inside = EVERYWHERE.slice();
    inside[FRAME + 7] = 0;
    const tracks = followTracks(inside, EXTENTS, new Uint8Array(3).fill(STILL));
    expect([...tracks.positions.subarray(tracks.starts[7], tracks.starts[8])]).toEqual([
      7,
      2 * FRAME + 7,
    ]);
  });

  it('hold every position of the section exactly once, whatever the motion', () => {
    for (let choice = 0; choice < MOTION_CHOICES; choice++) {
      const tracks = followTracks(EVERYWHERE, EXTENTS, Uint8Array.of(STILL, choice, choice));
      expect([...tracks.positions].toSorted((a, b) => a - b)).toEqual([...EVERYWHERE.keys()]);
    }
  });

  it('have their neighbours before them', () => {
    const tracks = followTracks(EVERYWHERE, EXTENTS, new Uint8Array(3).fill(STILL));
    for (let track = 0; track < tracks.count; track++) {
      for (const side of [tracks.west, tracks.north, tracks.northWest, tracks.northEast]) {
        expect(side[track]! < track || side[track] === tracks.count).toBe(true);
      }
    }
  });

  it('follow a texture that slides', () => {
    const motion = findMotion(slidingLatent(), EVERYWHERE, EXTENTS);
    const tracks = followTracks(EVERYWHERE, EXTENTS, motion);
    expect(motion[1]).toBe(STILL + 1);
    expect(motion[2]).toBe(STILL + 1);
    expect([...tracks.positions.subarray(0, 3)]).toEqual([0, FRAME + 1, 2 * FRAME + 2]);
  });
});

describe('the transform along tracks', () => {
  it('keeps the energy and comes back, for tracks of every length', () => {
    const motion = Uint8Array.of(STILL, STILL + 1, STILL);
    const tracks = followTracks(EVERYWHERE, EXTENTS, motion);
    const channel = slidingLatent().subarray(0, 3 * FRAME);

    const coefficients = transformTracks(channel, tracks, EXTENTS.frames);
    const back = new Float32Array(channel.length);
    restoreTracks(coefficients, tracks, back);

    const energy = (data: Float32Array): number => data.reduce((sum, v) => sum + v * v, 0);
    expect(new Set(tracks.lengths)).toEqual(new Set([0, 1, 2, 3]));
    expect(energy(coefficients)).toBeCloseTo(energy(channel), 3);
    for (const [index, value] of back.entries()) expect(value).toBeCloseTo(channel[index]!, 5);
  });

  it('puts what does not change into one coefficient', () => {
    const tracks = followTracks(EVERYWHERE, EXTENTS, new Uint8Array(3).fill(STILL));
    const still = new Float32Array(3 * FRAME).fill(2);
    const coefficients = transformTracks(still, tracks, EXTENTS.frames);
    expect(coefficients[0]).toBeCloseTo(2 * Math.sqrt(3), 5);
    expect(Math.abs(coefficients[tracks.count + 1]!)).toBeLessThan(1e-6);
  });
});
