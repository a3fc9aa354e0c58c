import type { Tensor } from './tensor.ts';

/**
 * Sets the first latent frame of a latent, in place.
 *
 * @param latent `[C, T, H, W]`
 * @param firstFrame `[C, 1, H, W]`
 */
export function setFirstFrame(latent: Tensor, firstFrame: Tensor): void {
  const [channels, frames, height, width] = latent.shape as [number, number, number, number];
  const positions = height * width;
  for (let channel = 0; channel < channels; channel++) {
    const frame = firstFrame.data.subarray(channel * positions, (channel + 1) * positions);
    latent.data.set(frame, channel * frames * positions);
  }
}

/**
 * Returns the times of the frames of a latent whose first frame is clean: 0 for the first, the same
 * time for all others.
 */
export function timesAfterFirst(time: number, frames: number): number[] {
  return Array.from({ length: frames }, (_, frame) => (frame === 0 ? 0 : time));
}
