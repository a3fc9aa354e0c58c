import { checkProviderLibraries, type ExecutionProvider } from '#models/execution-provider.ts';
import { describeMemory, planThisGpu, type MemoryPlan } from '#models/gpu-memory.ts';
import {
  loadManifest,
  networkBytes,
  networkPaths,
  type ModelManifest,
  type NetworkName,
} from '#models/manifest.ts';
import { errorReport } from './error-line.ts';
import type { ErrorReport } from './error-line.ts';

/** Whether a network of a model package can be opened on a provider. */
export type ProviderReport =
  | { name: ExecutionProvider; usable: true; memory?: MemoryPlan }
  | { name: ExecutionProvider; error: ErrorReport };

/**
 * Opens one network of the package: only that shows whether driver and device are there too.
 *
 * @param folder where onnxruntime looks for its providers
 */
export async function inspectProvider(
  name: ExecutionProvider,
  modelPath: string,
  folder?: string,
): Promise<ProviderReport> {
  try {
    await checkProviderLibraries(name, folder);
    const modelPackage = await loadManifest(modelPath);
    const paths = networkPaths(modelPackage);
    const memory = name === 'cuda' ? await planThisGpu(modelPackage.manifest) : null;
    // onnxruntime is large: only who asks for a provider opens a network.
    const { OnnxNetworks } = await import('#models/onnx-networks.ts');
    const networks = new OnnxNetworks(paths, { executionProvider: name });
    await networks.load(smallestNetwork(modelPackage.manifest, paths));
    await networks.close();
    return { name, usable: true, ...(memory && { memory }) };
  } catch (error) {
    return { name, error: errorReport(error) };
  }
}

function smallestNetwork(
  manifest: ModelManifest,
  paths: Partial<Record<NetworkName, string>>,
): NetworkName {
  const bytes = networkBytes(manifest);
  const names = Object.keys(paths) as NetworkName[];
  return names.reduce((least, name) => (bytes[name]! < bytes[least]! ? name : least));
}

/** `opens a network of the model` and how its networks share the GPU, or why it does not. */
export function describeProvider(provider: ProviderReport): string {
  if (!('error' in provider)) {
    const { memory } = provider;
    return `opens a network of the model${memory ? `; ${describeMemory(memory)}` : ''}`;
  }
  const { code, message, fix } = provider.error;
  return `NOT USABLE: ${code}: ${message}${fix === null ? '' : `: ${fix}`}`;
}
