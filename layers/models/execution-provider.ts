import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';

export const EXECUTION_PROVIDERS = ['cpu', 'webgpu', 'cuda'] as const;

/** Where onnxruntime runs a network. */
export type ExecutionProvider = (typeof EXECUTION_PROVIDERS)[number];

/** Of onnxruntime 1.30 on Linux; they lie beside its own library, and npm does not bring them. */
const CUDA_LIBRARIES = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];
/** What onnxruntime's CUDA provider opens by name when it starts, beside what it is linked to. */
const CUDNN_LIBRARY = 'libcudnn.so.9';
/** What onnxruntime's WebGPU uses on Linux. */
const WEBGPU_LIBRARIES = ['libvulkan.so.1'];

/**
 * Loads a library and prints why it is not loaded. In a process of its own: a provider's library may
 * only be loaded by onnxruntime, after its own.
 */
const LOADER = `
const { constants } = require('node:os');
try {
  process.dlopen({ exports: {} }, process.argv[1], constants.dlopen.RTLD_LAZY);
} catch (error) {
  console.log(error.message);
}`;
/** How the system's loader says that a library, or one that it needs, is not there. */
const NOT_THERE = /^(.+?): cannot open shared object file/m;

/** Where onnxruntime looks for the libraries of its providers. */
export function providerFolder(): string {
  const require = createRequire(import.meta.url);
  const root = dirname(require.resolve('onnxruntime-node/package.json'));
  return join(root, 'bin', 'napi-v6', process.platform, process.arch);
}

/**
 * Checks that the libraries of a provider can be loaded, as onnxruntime's own error does not name the
 * one that is missing. Whether there is a device is not looked at, and elsewhere than on Linux nothing.
 *
 * @param folder where onnxruntime looks for its providers
 * @throws FlexCacheError `gpu_missing` naming the library.
 */
export async function checkProviderLibraries(
  provider: ExecutionProvider,
  folder?: string,
): Promise<void> {
  if (provider === 'cpu' || process.platform !== 'linux') return;
  const place = folder ?? providerFolder();
  const libraries =
    provider === 'cuda'
      ? [...CUDA_LIBRARIES.map((name) => join(place, name)), CUDNN_LIBRARY]
      : WEBGPU_LIBRARIES;
  const absent = await Promise.all(libraries.map(absentFor));
  const missing = absent.find((library) => library !== null);
  if (missing === undefined || missing === null) return;
  throw new FlexCacheError(
    'gpu_missing',
    `onnxruntime cannot use ${provider}: ${basename(missing)} is not there`,
    {
      field: 'executionProvider',
      fix: missing.startsWith(place)
        ? `put onnxruntime's CUDA libraries into ${place}, or use the cpu provider`
        : 'install what brings it, add its folder to LD_LIBRARY_PATH, or use the cpu provider',
    },
  );
}

/** The library that is missing for this one to load: itself, or one that it needs. */
function absentFor(library: string): Promise<string | null> {
  return new Promise((resolve) => {
    // A library that ends the process that loads it is there.
    execFile(process.execPath, ['--eval', LOADER, library], (_, stdout, stderr) =>
      resolve(NOT_THERE.exec(`${stdout}${stderr}`)?.[1] ?? null),
    );
  });
}
