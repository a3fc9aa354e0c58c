import type { LatentExtents } from '#core/latents/compose.ts';
import { BitMixer } from './bit-mixer.ts';
import { RangeDecoder, RangeEncoder, type BitCoder } from './range-coder.ts';

const LEARNING_RATE = 2e-9;

/**
 * Encodes a binary mask `[T, H, W]` in scan order; each bit is predicted from its neighbors in the
 * same and the previous frame.
 */
export function encodeMask(mask: Uint8Array, extents: LatentExtents): Uint8Array {
  const encoder = new RangeEncoder();
  codeMask(encoder, mask, extents);
  return encoder.finish();
}

/** Decodes a mask `[T, H, W]` of 0 and 1. */
export function decodeMask(bytes: Uint8Array, extents: LatentExtents): Uint8Array {
  const mask = new Uint8Array(extents.frames * extents.height * extents.width);
  codeMask(new RangeDecoder(bytes), mask, extents);
  return mask;
}

function codeMask(coder: BitCoder, mask: Uint8Array, { frames, height, width }: LatentExtents) {
  const mixer = new BitMixer([1 << 5, 1 << 9, 1 << 6], 2, LEARNING_RATE);
  const contexts = new Int32Array(mixer.inputs);
  // Rows of the mask with a 0 at both ends; rows outside it are 0.
  const rowLength = width + 2;
  const padded = new Uint8Array((height + 2) * rowLength);
  const previous = new Uint8Array(padded.length);
  for (let frame = 0; frame < frames; frame++) {
    for (let y = 0; y < height; y++) {
      const row = mask.subarray((frame * height + y) * width, (frame * height + y + 1) * width);
      codeRow(coder, mixer, contexts, row, padded, previous, (y + 1) * rowLength + 1, frame > 0);
    }
    previous.set(padded);
  }
}

/**
 * Codes a row of a frame.
 *
 * @param frame coded part of the frame, with a margin of 0; the row is written to it
 * @param previous previous frame, with the same margin
 * @param first offset of the row in both
 */
function codeRow(
  coder: BitCoder,
  mixer: BitMixer,
  contexts: Int32Array,
  row: Uint8Array,
  frame: Uint8Array,
  previous: Uint8Array,
  first: number,
  hasPrevious: boolean,
): void {
  const [causalFirst, crossFirst, mixedFirst] = mixer.firstContexts;
  const rowLength = row.length + 2;
  const isLater = hasPrevious ? 1 : 0;
  for (let x = 0; x < row.length; x++) {
    const here = first + x;
    const north = here - rowLength;
    const south = here + rowLength;
    const west = frame[here - 1]!;
    const causal =
      (west << 3) | (frame[north]! << 2) | (frame[north - 1]! << 1) | frame[north + 1]!;
    const before = previous[here]!;
    const cross =
      (previous[here + 1]! << 3) |
      (previous[south]! << 2) |
      (previous[here - 1]! << 1) |
      previous[north]!;
    contexts[0] = (causalFirst! + (causal << 1)) | isLater;
    contexts[1] = (crossFirst! + (causal << 5)) | (cross << 1) | before;
    contexts[2] =
      (mixedFirst! + (west << 5)) | (frame[north]! << 4) | (before << 3) | (cross >>> 2);
    const bit = mixer.code(coder, row[x]!, contexts, 0, isLater);
    row[x] = bit;
    frame[here] = bit;
  }
}
