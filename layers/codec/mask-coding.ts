import type { LatentExtents } from '#core/compose.ts';
import { BitMixer } from './bit-mixer.ts';
import { RangeDecoder, RangeEncoder, type BitCoder } from './range-coder.ts';

const LEARNING_RATE = 2e-9;

/**
 * Codes a binary mask `[T, H, W]` in scan order, each bit predicted from its neighbours in the same
 * and in the previous frame.
 */
export function encodeMask(mask: Uint8Array, extents: LatentExtents): Uint8Array {
  const encoder = new RangeEncoder();
  codeMask(encoder, mask, extents);
  return encoder.finish();
}

/** The mask `[T, H, W]` of 0 and 1 that `encodeMask` coded. */
export function decodeMask(bytes: Uint8Array, extents: LatentExtents): Uint8Array {
  const mask = new Uint8Array(extents.frames * extents.height * extents.width);
  codeMask(new RangeDecoder(bytes), mask, extents);
  return mask;
}

function codeMask(coder: BitCoder, mask: Uint8Array, { frames, height, width }: LatentExtents) {
  const mixer = new BitMixer([1 << 5, 1 << 9, 1 << 6], 2, LEARNING_RATE);
  const contexts = new Int32Array(mixer.inputs);
  const [causalFirst, crossFirst, mixedFirst] = mixer.firstContexts;
  const at = (frame: number, y: number, x: number): number =>
    frame < 0 || y < 0 || x < 0 || y >= height || x >= width
      ? 0
      : mask[(frame * height + y) * width + x]!;
  for (let frame = 0; frame < frames; frame++) {
    const hasPrevious = frame > 0 ? 1 : 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const west = at(frame, y, x - 1);
        const north = at(frame, y - 1, x);
        const northWest = at(frame, y - 1, x - 1);
        const northEast = at(frame, y - 1, x + 1);
        const causal = (west << 3) | (north << 2) | (northWest << 1) | northEast;
        const before = frame - 1;
        const previous = at(before, y, x);
        const cross =
          (at(before, y, x + 1) << 3) |
          (at(before, y + 1, x) << 2) |
          (at(before, y, x - 1) << 1) |
          at(before, y - 1, x);
        contexts[0] = (causalFirst! + (causal << 1)) | hasPrevious;
        contexts[1] = (crossFirst! + (causal << 5)) | (cross << 1) | previous;
        contexts[2] = (mixedFirst! + (west << 5)) | (north << 4) | (previous << 3) | (cross >>> 2);
        const index = (frame * height + y) * width + x;
        mask[index] = mixer.code(coder, mask[index]!, contexts, 0, hasPrevious);
      }
    }
  }
}
