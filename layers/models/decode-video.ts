import type { Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from './manifest.ts';
import { asBatch, callNetwork, withoutBatch } from './network-call.ts';
import type { NetworkRunner } from './onnx-networks.ts';

/** A latent `[C,T,H,W]` as the video that a package's VAE makes of it, `[F,3,H,W]` in 0..1. */
export async function decodeVideo(
  networks: NetworkRunner,
  { video }: Pick<ModelManifest, 'video'>,
  latent: Tensor,
): Promise<Tensor> {
  const shape = [1, video.frames, 3, video.height, video.width];
  const inputs = { latent: asBatch(latent) };
  return withoutBatch(await callNetwork(networks, 'vaeDecoder', inputs, 'video', shape));
}
