import { FlexCacheError } from '#core/errors.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import type { NetworkName } from './manifest.ts';
import type { NetworkInputs, NetworkRunner, NetworkTensors, RunOptions } from './onnx-networks.ts';

/**
 * Runs a network and picks one output, checking its shape.
 *
 * @param shape expected extents, batch included
 * @throws FlexCacheError `model_corrupt` when the network answers something else.
 */
export async function callNetwork(
  networks: NetworkRunner,
  network: NetworkName,
  inputs: NetworkInputs,
  output: string,
  shape: readonly number[],
  options: Omit<RunOptions, 'outputs'> = {},
): Promise<Tensor> {
  const outputs = await networks.run(network, inputs, { ...options, outputs: [output] });
  return pickOutput(outputs, network, output, shape);
}

/** One output of a network's answer. @throws FlexCacheError `model_corrupt` on another shape. */
export function pickOutput(
  outputs: NetworkTensors,
  network: NetworkName,
  output: string,
  shape: readonly number[],
): Tensor {
  const tensor = outputs[output];
  if (tensor === undefined || tensor.shape.join() !== shape.join()) {
    const found = tensor === undefined ? 'nothing' : `[${tensor.shape.join(', ')}]`;
    throw new FlexCacheError(
      'model_corrupt',
      `network ${network} gave ${found} as ${output}, expected [${shape.join(', ')}]`,
      { field: `files.${network}`, fix: 'export the model package again for its manifest' },
    );
  }
  return { data: tensor.data as Float32Array, shape };
}

/** The same tensor without its leading batch extent of 1. */
export function withoutBatch({ data, shape }: Tensor): Tensor {
  return { data, shape: shape.slice(1) };
}

/** The same tensor as a batch of 1. */
export function asBatch({ data, shape }: Tensor): Tensor {
  return { data, shape: [1, ...shape] };
}
