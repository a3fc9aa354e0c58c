import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';
import { CUDA_WHEEL } from './install/cuda-wheel.ts';

export const EXECUTION_PROVIDERS = ['cpu', 'webgpu', 'cuda'] as const;

/** Where onnxruntime runs a network. */
export type ExecutionProvider = (typeof EXECUTION_PROVIDERS)[number];

/** What onnxruntime's CUDA provider opens by name when it starts, beside what it is linked to. */
const CUDNN_LIBRARY = 'libcudnn.so.9';
/** Comes with the driver. The provider is linked to it, after what CUDA brings. */
const DRIVER_LIBRARY = 'libcuda.so.1';
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
 * Checks that the libraries of a provider can be loaded, as onnxruntime's own error does not name those
 * that are missing. Whether there is a device is not looked at, and elsewhere than on Linux nothing.
 *
 * @param folder where onnxruntime looks for its providers
 * @throws FlexCacheError `gpu_missing` naming the libraries, one at least of each thing to install.
 */
export async function checkProviderLibraries(
  provider: ExecutionProvider,
  folder?: string,
): Promise<void> {
  if (provider === 'cpu' || process.platform !== 'linux') return;
  const place = folder ?? providerFolder();
  const ofProvider =
    provider === 'cuda' ? CUDA_WHEEL.libraries.map(({ name }) => join(place, name)) : [];
  const ofSystem = provider === 'cuda' ? [CUDNN_LIBRARY, DRIVER_LIBRARY] : WEBGPU_LIBRARIES;
  const found = await Promise.all([...ofProvider, ...ofSystem].map(absentFor));
  const absent = new Set(found.filter((library) => library !== null));
  if (absent.size === 0) return;
  const toPlace = ofProvider.filter((library) => absent.has(library));
  const missing = toPlace.length > 0 ? toPlace : [...absent];
  throw new FlexCacheError(
    'gpu_missing',
    `onnxruntime cannot use ${provider}: ${missing.map((library) => basename(library)).join(', ')} ${missing.length === 1 ? 'is' : 'are'} not there`,
    {
      field: 'executionProvider',
      fix:
        toPlace.length > 0
          ? `run \`flexcache install-gpu\`, which puts them into ${place}, or use the cpu provider`
          : `${provider === 'cuda' ? howToGetCuda(absent) : 'install what brings it, add its folder to LD_LIBRARY_PATH'}, or use the cpu provider`,
    },
  );
}

function howToGetCuda(absent: ReadonlySet<string>): string {
  const driver = "install NVIDIA's driver, 580 or newer";
  const runtime =
    "install CUDA 13 and cuDNN 9, by the system's packages or by pip (nvidia-cublas==13.*, nvidia-cuda-runtime==13.*, " +
    'nvidia-curand==10.*, nvidia-cudnn-cu13==9.*), and where the loader does not find them add their folders to LD_LIBRARY_PATH';
  if (!absent.has(DRIVER_LIBRARY)) return runtime;
  return absent.size === 1 ? driver : `${driver}; ${runtime}`;
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
