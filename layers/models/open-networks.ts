import type { NetworkName } from './manifest.ts';
import { NetworkThread } from './network-thread.ts';
import { OnnxNetworks, type NetworkRunner, type OnnxOptions } from './onnx-networks.ts';

export interface TextEmbedderOptions extends OnnxOptions {
  /** False runs the network on the event loop: right for a Lambda, whose handler waits anyway. */
  inThread?: boolean;
}

/** Networks in a thread of their own, or in this one. */
export function openNetworks(
  paths: Partial<Record<NetworkName, string>>,
  { inThread = true, ...options }: TextEmbedderOptions = {},
): NetworkRunner {
  return inThread ? new NetworkThread(paths, options) : new OnnxNetworks(paths, options);
}
