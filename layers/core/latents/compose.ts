import { InvalidInputError } from '../errors.ts';
import type { LookupPart } from '../generation.ts';
import { elementCount, type Tensor } from './tensor.ts';

/** Extents of a latent `[C, T, H, W]`. */
export interface LatentExtents {
  channels: number;
  frames: number;
  height: number;
  width: number;
}

/**
 * Grows the mask by one position: 3x3 spatial maximum per latent frame.
 *
 * @param mask `[T, H, W]`, object where > 0
 * @returns `[T, H, W]` of 0 and 1
 */
export function dilate(mask: Tensor): Tensor {
  const [frames, height, width] = maskExtents(mask);
  const data = new Float32Array(mask.data.length);
  for (let frame = 0; frame < frames; frame++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (mask.data[(frame * height + y) * width + x]! <= 0) continue;
        for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
          const row = (frame * height + v) * width;
          data.fill(1, row + Math.max(0, x - 1), row + Math.min(width - 1, x + 1) + 1);
        }
      }
    }
  }
  return { data, shape: mask.shape };
}

/** Grows the mask by a number of positions (`dilate`); 0 returns the same mask. */
export function grow(mask: Tensor, positions: number): Tensor {
  let grown = mask;
  for (let count = 0; count < positions; count++) grown = dilate(grown);
  return grown;
}

/**
 * Replaces the positions under the dilated mask with background.
 *
 * @param latent `[C, T, H, W]`
 * @param mask `[T, H, W]`, object where > 0; it is dilated here
 */
export function fillHoles(latent: Tensor, mask: Tensor): Tensor {
  return fillDilatedHoles(latent, dilate(mask));
}

/**
 * `fillHoles` for a dilated mask. Never reads the content of the holes.
 *
 * A hole takes the mean over the frames in which its position is visible. A position that is never
 * visible takes the mean of its known neighbors in the same frame, ring by ring from the outside.
 * If nothing is visible at all, holes are 0.
 */
export function fillDilatedHoles(latent: Tensor, dilatedMask: Tensor): Tensor {
  const { channels, frames, height, width } = latentExtents(latent, dilatedMask);
  const framePositions = height * width;
  const channelPositions = frames * framePositions;
  const hidden = dilatedMask.data;
  const visibleFrames = new Uint16Array(framePositions);
  for (let index = 0; index < channelPositions; index++) {
    if (hidden[index]! <= 0) visibleFrames[index % framePositions]!++;
  }
  const rings = neverVisibleRings(visibleFrames, height, width);
  const data = latent.data.slice();
  for (let channel = 0; channel < channels; channel++) {
    const plane = data.subarray(channel * channelPositions, (channel + 1) * channelPositions);
    fillFromOtherFrames(plane, hidden, visibleFrames, frames);
    fillFromNeighbours(plane, rings, frames, framePositions);
  }
  return { data, shape: latent.shape };
}

function fillFromOtherFrames(
  plane: Float32Array,
  hidden: Float32Array,
  visibleFrames: Uint16Array,
  frames: number,
): void {
  const framePositions = visibleFrames.length;
  for (let position = 0; position < framePositions; position++) {
    const visible = visibleFrames[position]!;
    if (visible === frames) continue;
    let sum = 0;
    for (let frame = 0; frame < frames; frame++) {
      const index = frame * framePositions + position;
      if (hidden[index]! <= 0) sum += plane[index]!;
    }
    const mean = visible === 0 ? 0 : sum / visible;
    for (let frame = 0; frame < frames; frame++) {
      const index = frame * framePositions + position;
      if (hidden[index]! > 0) plane[index] = mean;
    }
  }
}

interface RingPosition {
  position: number;
  /** Neighbors that are known before this ring is filled. */
  known: number[];
}

/** Returns never-visible positions in fill order; a ring reads only earlier rings. */
function neverVisibleRings(
  visibleFrames: Uint16Array,
  height: number,
  width: number,
): RingPosition[] {
  const isKnown = Uint8Array.from(visibleFrames, (visible) => (visible > 0 ? 1 : 0));
  const ordered: RingPosition[] = [];
  for (;;) {
    const ring: RingPosition[] = [];
    for (let position = 0; position < isKnown.length; position++) {
      if (isKnown[position] === 1) continue;
      const known = neighbours(position, height, width).filter((near) => isKnown[near] === 1);
      if (known.length > 0) ring.push({ position, known });
    }
    if (ring.length === 0) return ordered;
    for (const { position } of ring) isKnown[position] = 1;
    ordered.push(...ring);
  }
}

function neighbours(position: number, height: number, width: number): number[] {
  const y = Math.floor(position / width);
  const x = position % width;
  const near: number[] = [];
  for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
    for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
      if (v !== y || u !== x) near.push(v * width + u);
    }
  }
  return near;
}

function fillFromNeighbours(
  plane: Float32Array,
  rings: readonly RingPosition[],
  frames: number,
  framePositions: number,
): void {
  for (let frame = 0; frame < frames; frame++) {
    const start = frame * framePositions;
    for (const { position, known } of rings) {
      let sum = 0;
      for (const near of known) sum += plane[start + near]!;
      plane[start + position] = sum / known.length;
    }
  }
}

/**
 * Extracts the object: the latent inside the dilated mask and 0 elsewhere.
 *
 * @param latent `[C, T, H, W]`
 * @param mask `[T, H, W]`, object where > 0; it is dilated here
 */
export function objectPart(latent: Tensor, mask: Tensor): Tensor {
  return latentInside(latent, dilate(mask));
}

/**
 * Masks a latent: unchanged where the mask is set, 0 elsewhere.
 *
 * @param latent `[C, T, H, W]`
 * @param inside `[T, H, W]`, inside where > 0
 */
export function latentInside(latent: Tensor, inside: Tensor): Tensor {
  const { channels } = latentExtents(latent, inside);
  const channelPositions = inside.data.length;
  const data = new Float32Array(latent.data.length);
  for (let channel = 0; channel < channels; channel++) {
    const start = channel * channelPositions;
    for (let index = 0; index < channelPositions; index++) {
      if (inside.data[index]! > 0) data[start + index] = latent.data[start + index]!;
    }
  }
  return { data, shape: latent.shape };
}

/** Extracts the background: the latent with its object's place filled. See `fillHoles`. */
export function backgroundPart(latent: Tensor, mask: Tensor): Tensor {
  return fillHoles(latent, mask);
}

/**
 * Lists the parts of a video: the whole, an object if the mask has one, a background if the dilated
 * mask leaves one.
 *
 * @param mask `[T, H, W]`, object where > 0; null without segmentation
 */
export function shownParts(mask: Tensor | null): LookupPart[] {
  if (mask === null) return ['whole'];
  const hasObject = mask.data.some((value) => value > 0);
  const hasBackground = dilate(mask).data.some((value) => value === 0);
  return [
    'whole',
    ...(hasObject ? ['object' as const] : []),
    ...(hasBackground ? ['background' as const] : []),
  ];
}

/** An object donor, as `decodeLatent` returns it. */
export interface ObjectDonor {
  /** `[C, T, H, W]`; only values inside the dilated mask are read. */
  object: Tensor;
  /** `[T, H, W]`, object where > 0. */
  dilatedMask: Tensor;
}

/**
 * Composes a clean latent to start from: the object donor inside its dilated mask and the
 * hole-filled background donor elsewhere; 0 if the donor of that part is missing.
 *
 * @param background `[C, T, H, W]`, hole-filled
 * @throws InvalidInputError without donors, or if shapes differ
 */
export function composeDonors(object: ObjectDonor | null, background: Tensor | null): Tensor {
  if (object === null) {
    if (background === null) {
      throw new InvalidInputError(
        'donors',
        'there is no donor to compose',
        'start from noise if both donors are missing',
      );
    }
    return { data: background.data.slice(), shape: background.shape };
  }
  const { channels } = latentExtents(object.object, object.dilatedMask);
  if (background !== null && background.shape.join() !== object.object.shape.join()) {
    throw new InvalidInputError(
      'background',
      `background donor has shape [${background.shape.join(', ')}], the object donor ` +
        `[${object.object.shape.join(', ')}]`,
      'compose donors of one compatibility key only',
    );
  }
  const inside = object.dilatedMask.data;
  const data = background?.data.slice() ?? new Float32Array(object.object.data.length);
  for (let channel = 0; channel < channels; channel++) {
    const start = channel * inside.length;
    for (let index = 0; index < inside.length; index++) {
      if (inside[index]! > 0) data[start + index] = object.object.data[start + index]!;
    }
  }
  return { data, shape: object.object.shape };
}

/**
 * Checks the shapes of a latent and its mask and returns their extents.
 *
 * @throws InvalidInputError if the latent is not `[C, T, H, W]` or the mask is not its `[T, H, W]`
 */
export function latentExtents(latent: Tensor, mask: Tensor): LatentExtents {
  const [channels, frames, height, width] = latent.shape;
  if (
    latent.shape.length !== 4 ||
    channels === undefined ||
    frames === undefined ||
    height === undefined ||
    width === undefined ||
    latent.data.length !== elementCount(latent.shape)
  ) {
    throw new InvalidInputError(
      'latent',
      `latent of ${latent.data.length} numbers has shape [${latent.shape.join(', ')}]`,
      'give a latent [C, T, H, W] whose data has as many numbers as its shape',
    );
  }
  const [maskFrames, maskHeight, maskWidth] = maskExtents(mask);
  if (maskFrames !== frames || maskHeight !== height || maskWidth !== width) {
    throw new InvalidInputError(
      'mask',
      `mask has shape [${mask.shape.join(', ')}], the latent [${latent.shape.join(', ')}]`,
      'give a mask [T, H, W] at latent resolution',
    );
  }
  return { channels, frames, height, width };
}

function maskExtents(mask: Tensor): [frames: number, height: number, width: number] {
  const [frames, height, width] = mask.shape;
  if (
    mask.shape.length !== 3 ||
    frames === undefined ||
    height === undefined ||
    width === undefined ||
    mask.data.length !== elementCount(mask.shape)
  ) {
    throw new InvalidInputError(
      'mask',
      `mask of ${mask.data.length} numbers has shape [${mask.shape.join(', ')}]`,
      'give a mask [T, H, W] whose data has as many numbers as its shape',
    );
  }
  return [frames, height, width];
}
