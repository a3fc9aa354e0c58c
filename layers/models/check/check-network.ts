import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest, ModelPackage, NetworkName } from '../manifest.ts';
import { expectedSignature, isRegional, type NetworkSignature } from '../network-signature.ts';
import { objectMaskOf } from '../object-mask.ts';
import { OnnxDenoiser } from '../onnx-denoiser.ts';
import type { NetworkInputs, NetworkRunner, OnnxNetworks } from '../onnx-networks.ts';
import { requireDeclaredData } from './check-files.ts';
import {
  corruptNetwork,
  EXPORT_AGAIN,
  fixedBatch,
  signatureProblems,
} from './compare-signatures.ts';
import { failed, passed, type Finding } from './finding.ts';
import { relativeDifference, runOnce, sampleInputs, type Samples } from './network-run.ts';

/** Of a row alone and the same beside others: float16 and TF32 round sums that are taken in another order. */
const ROW_TOLERANCE = 0.02;

const PIXEL_NETWORKS: ReadonlySet<NetworkName> = new Set([
  'vaeDecoder',
  'vaeEncoder',
  'imageEncoder',
  'frameSegmenter',
]);

/** What was found of a network, and what it gave for the first row of the samples. */
export interface NetworkCheck {
  findings: Finding[];
  /** By their names; null where the network cannot be used. */
  outputs: ReadonlyMap<string, Tensor> | null;
}

/**
 * Opens a network, compares what it takes and gives with what it has to, and runs it on one row and, where
 * the batch is dynamic, on several.
 *
 * @param networks have this one
 */
export async function checkNetwork(
  modelPackage: ModelPackage,
  network: NetworkName,
  networks: OnnxNetworks,
  samples: Samples,
): Promise<NetworkCheck> {
  const check = `network ${network}`;
  const { manifest } = modelPackage;
  try {
    await requireDeclaredData(modelPackage, network);
    const expected = expectedSignature(network, manifest);
    const startedAt = performance.now();
    const found = await networks.signature(network);
    const openedAt = performance.now();
    const problems = signatureProblems(network, expected, found);
    if (problems.length > 0) {
      return { findings: problems.map((problem) => failed(check, problem)), outputs: null };
    }
    const inputs = expected.inputs.filter((input) => !isRegional(input));
    const outputs = expected.outputs.filter((output) => !isRegional(output));
    const batches = batchesOf(network, manifest, found);
    const runs: Map<string, Tensor>[] = [];
    for (const batch of batches) {
      const feeds = {
        ...sampleInputs(inputs, samples, batch),
        ...regionalInputs(network, networks, manifest, batch),
      };
      runs.push(await runOnce(networks, network, outputs, feeds, batch));
    }
    const [alone, together] = runs;
    if (together !== undefined) requireSameRow(network, alone!, together);
    const opening = seconds(openedAt - startedAt);
    const running = seconds(performance.now() - openedAt);
    const detail = `opens in ${opening}; ${batches.length === 1 ? 'a batch' : 'batches'} of ${batches.join(' and ')} in ${running}, with the declared shapes and finite`;
    return { findings: [passed(check, detail)], outputs: alone! };
  } catch (error) {
    return { findings: [failed(check, error, EXPORT_AGAIN)], outputs: null };
  }
}

/**
 * Batches to run: one row and several, or what the graph was fixed to.
 *
 * @throws FlexCacheError `model_corrupt` where that is not what the worker gives it.
 */
function batchesOf(
  network: NetworkName,
  manifest: ModelManifest,
  found: NetworkSignature,
): number[] {
  const used = workerBatch(network, manifest);
  const fixed = fixedBatch(found);
  // Twice the pixels take twice the memory, and the worker has one video at a time.
  if (fixed === null) return PIXEL_NETWORKS.has(network) ? [1] : [1, Math.max(2, used)];
  if (fixed === used) return [fixed];
  throw corruptNetwork(
    network,
    `network ${network} takes a batch of ${fixed} alone, and the worker gives it ${used}`,
    'export the network again with a dynamic batch, the first extent of every input and output',
  );
}

/** Rows that a network is given at once when one video is made. */
function workerBatch(network: NetworkName, manifest: ModelManifest): number {
  switch (network) {
    case 'denoiser':
      return manifest.scheduler.guidance === 1 ? 1 : 2;
    case 'textTower':
      return 2;
    case 'videoTower':
      // The whole, and its object and its background where they are told apart.
      return objectMaskOf(manifest) === null ? 1 : 3;
    case 'imageTower': {
      const { videoVectors, video } = manifest;
      return videoVectors?.source === 'frames' ? Math.min(videoVectors.frames, video.frames) : 1;
    }
    default:
      return 1;
  }
}

function regionalInputs(
  network: NetworkName,
  networks: NetworkRunner,
  manifest: ModelManifest,
  batch: number,
): NetworkInputs {
  if (network !== 'denoiser') return {};
  return new OnnxDenoiser(networks, manifest).regions?.allTokens(batch) ?? {};
}

/** @throws FlexCacheError `model_corrupt` where rows of a batch change each other. */
function requireSameRow(
  network: NetworkName,
  alone: ReadonlyMap<string, Tensor>,
  together: ReadonlyMap<string, Tensor>,
): void {
  for (const [output, { data, shape }] of alone) {
    const row = together.get(output)!.data.subarray(0, elementCount(shape));
    const difference = relativeDifference(data, row);
    if (difference <= ROW_TOLERANCE) continue;
    throw corruptNetwork(
      network,
      `network ${network} gives another ${output} for a row that is alone than for the same row beside others: they differ by ${difference.toPrecision(2)} of its largest value`,
      'export the network again with a batch whose rows do not mix',
    );
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
