import type { LatentExtents } from '#core/compose.ts';

/** Farthest that content is followed from one frame to the next, in latent positions. */
export const FARTHEST_MOTION = 2;
const MOTION_CHOICES_PER_AXIS = 2 * FARTHEST_MOTION + 1;
export const MOTION_CHOICES = MOTION_CHOICES_PER_AXIS ** 2;
/** The choice that means "did not move". */
export const STILL = (MOTION_CHOICES - 1) / 2;

/**
 * The positions of a section, followed through time: each track is one spot of the object or of the
 * background in every frame that shows it. Tracks are numbered by first frame, then in scan order.
 */
export interface Tracks {
  count: number;
  /** Positions (indices into `[T, H, W]`) of track i: `positions[starts[i]]` to `positions[starts[i + 1] - 1]`. */
  positions: Int32Array;
  starts: Int32Array;
  /** Frames in which the track is seen; 0 for the track that is not there, number `count`. */
  lengths: Uint16Array;
  /** Track beside the track's first position, always a lower number; `count` when there is none. */
  west: Int32Array;
  north: Int32Array;
  northWest: Int32Array;
  northEast: Int32Array;
}

/**
 * Follows every position of a section through time.
 *
 * @param inside `[T, H, W]`: 1 where the section has values
 * @param motion per frame, how the content moved since the frame before: 0..MOTION_CHOICES-1
 */
export function followTracks(
  inside: Uint8Array,
  { frames, height, width }: LatentExtents,
  motion: Uint8Array,
): Tracks {
  const framePositions = height * width;
  const trackAt = new Int32Array(frames * framePositions).fill(-1);
  const tracks: number[][] = [];
  const beside: { west: number; north: number; northWest: number; northEast: number }[] = [];
  let latest: Int32Array = new Int32Array(framePositions).fill(-1);
  for (let frame = 0; frame < frames; frame++) {
    if (frame > 0) latest = moved(latest, motion[frame]!, height, width);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const spot = y * width + x;
        const position = frame * framePositions + spot;
        if (inside[position] !== 1) continue;
        let track = latest[spot]!;
        if (track < 0) {
          track = tracks.length;
          latest[spot] = track;
          tracks.push([]);
          beside.push({
            west: x > 0 ? trackAt[position - 1]! : -1,
            north: y > 0 ? trackAt[position - width]! : -1,
            northWest: x > 0 && y > 0 ? trackAt[position - width - 1]! : -1,
            northEast: x < width - 1 && y > 0 ? trackAt[position - width + 1]! : -1,
          });
        }
        tracks[track]!.push(position);
        trackAt[position] = track;
      }
    }
  }
  const count = tracks.length;
  const starts = new Int32Array(count + 1);
  for (const [track, positions] of tracks.entries()) {
    starts[track + 1] = starts[track]! + positions.length;
  }
  const number = (side: keyof (typeof beside)[number]): Int32Array =>
    Int32Array.from(beside, (sides) => (sides[side] < 0 ? count : sides[side]));
  return {
    count,
    positions: Int32Array.from(tracks.flat()),
    starts,
    lengths: Uint16Array.from([...tracks.map((positions) => positions.length), 0]),
    west: number('west'),
    north: number('north'),
    northWest: number('northWest'),
    northEast: number('northEast'),
  };
}

function moved(latest: Int32Array, choice: number, height: number, width: number): Int32Array {
  if (choice === STILL) return latest;
  const [moveY, moveX] = motionOf(choice);
  const after = new Int32Array(latest.length).fill(-1);
  for (let y = Math.max(0, moveY); y < Math.min(height, height + moveY); y++) {
    for (let x = Math.max(0, moveX); x < Math.min(width, width + moveX); x++) {
      after[y * width + x] = latest[(y - moveY) * width + x - moveX]!;
    }
  }
  return after;
}

function motionOf(choice: number): [y: number, x: number] {
  return [
    Math.floor(choice / MOTION_CHOICES_PER_AXIS) - FARTHEST_MOTION,
    (choice % MOTION_CHOICES_PER_AXIS) - FARTHEST_MOTION,
  ];
}

/**
 * How the section's content moves: for each frame the shift that leaves the least to code.
 *
 * @param latent `[C, T, H, W]`
 * @returns per frame a choice for `followTracks`
 */
export function findMotion(
  latent: Float32Array,
  inside: Uint8Array,
  { channels, frames, height, width }: LatentExtents,
): Uint8Array {
  const framePositions = height * width;
  const channelPositions = frames * framePositions;
  const motion = new Uint8Array(frames).fill(STILL);
  const byPosition = new Float32Array(latent.length);
  for (let channel = 0; channel < channels; channel++) {
    for (let position = 0; position < channelPositions; position++) {
      byPosition[position * channels + channel] = latent[channel * channelPositions + position]!;
    }
  }
  const leftToCode = (frame: number, choice: number, atMost: number): number => {
    const [moveY, moveX] = motionOf(choice);
    let sum = 0;
    for (let y = 0; y < height && sum < atMost; y++) {
      const fromY = y - moveY;
      for (let x = 0; x < width; x++) {
        const position = frame * framePositions + y * width + x;
        if (inside[position] !== 1) continue;
        const fromX = x - moveX;
        const from = (frame - 1) * framePositions + fromY * width + fromX;
        const isFollowed =
          fromY >= 0 && fromX >= 0 && fromY < height && fromX < width && inside[from] === 1;
        const now = position * channels;
        const then = from * channels;
        for (let channel = 0; channel < channels; channel++) {
          const change =
            byPosition[now + channel]! - (isFollowed ? byPosition[then + channel]! : 0);
          sum += change * change;
        }
      }
    }
    return sum;
  };
  for (let frame = 1; frame < frames; frame++) {
    let least = leftToCode(frame, STILL, Infinity) * STILL_IS_GOOD_ENOUGH;
    for (let choice = 0; choice < MOTION_CHOICES; choice++) {
      const left = choice === STILL ? Infinity : leftToCode(frame, choice, least);
      if (left < least) {
        least = left;
        motion[frame] = choice;
      }
    }
  }
  return motion;
}

/** Content is followed only when that leaves clearly less than standing still: whole positions are coarse. */
const STILL_IS_GOOD_ENOUGH = 0.9;
