import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';

export const EXECUTION_PROVIDERS = ['cpu', 'webgpu', 'cuda'] as const;

/** Where onnxruntime runs a network. */
export type ExecutionProvider = (typeof EXECUTION_PROVIDERS)[number];

/** Of onnxruntime 1.30 on Linux; they lie beside its own library, and npm does not bring them. */
const CUDA_LIBRARIES = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];
/** What onnxruntime's WebGPU uses on Linux. */
const WEBGPU_LIBRARIES = ['libvulkan.so.1'];

/**
 * Loads libraries and prints why one is not loaded. In a process of its own: a provider's library may
 * only be loaded by onnxruntime, after its own.
 */
const LOADER = `
const { constants } = require('node:os');
for (const library of process.argv.slice(1)) {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_LAZY);
  } catch (error) {
    console.log(error.message);
  }
}`;
/** How the system's loader says that a library, or one that it needs, is not there. */
const NOT_THERE = /([^\s:]+): cannot open shared object file/;

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
    provider === 'cuda' ? CUDA_LIBRARIES.map((name) => join(place, name)) : WEBGPU_LIBRARIES;
  const [, missing] = NOT_THERE.exec(await loadingErrors(libraries)) ?? [];
  if (missing === undefined) return;
  throw new FlexCacheError(
    'gpu_missing',
    `onnxruntime cannot use ${provider}: ${basename(missing)} is not there`,
    {
      field: 'executionProvider',
      fix:
        libraries.includes(missing) && provider === 'cuda'
          ? `put onnxruntime's CUDA libraries into ${place}, or use the cpu provider`
          : 'install what brings it, add its folder to LD_LIBRARY_PATH, or use the cpu provider',
    },
  );
}

function loadingErrors(libraries: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    // A library that ends the process that loads it is there.
    execFile(process.execPath, ['--eval', LOADER, ...libraries], (_, stdout, stderr) =>
      resolve(`${stdout}${stderr}`),
    );
  });
}
