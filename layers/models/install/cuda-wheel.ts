/** A library of an execution provider as it lies in its wheel. */
export interface WheelLibrary {
  name: string;
  /** Unpacked. */
  bytes: number;
  /** Of the unpacked file, in hex. */
  sha256: string;
}

/** A wheel of a Python package index that has the libraries of an execution provider. */
export interface ProviderWheel {
  /** Name and version of the package. */
  package: string;
  version: string;
  /** The Python and the platform that the wheel is for, as pip names them. */
  python: string;
  pipPlatform: string;
  /** The same platform as `process.platform` and `process.arch` name it, with a slash between. */
  platform: string;
  bytes: number;
  /** Of the wheel, in hex. */
  sha256: string;
  /** Where in the wheel its libraries lie. */
  folder: string;
  /** In the order in which they are put in place. */
  libraries: readonly WheelLibrary[];
}

/**
 * CUDA's execution provider for onnxruntime-node, from the wheel of the same version: npm's package has
 * none, and its own script downloads one without comparing a checksum. It is linked to CUDA 13 and opens
 * cuDNN 9. Which Python the wheel is for does not matter to these libraries.
 */
export const CUDA_WHEEL: ProviderWheel = {
  package: 'onnxruntime-gpu',
  version: '1.30.0',
  python: '3.12',
  pipPlatform: 'manylinux_2_28_x86_64',
  platform: 'linux/x64',
  bytes: 246_685_715,
  sha256: '6acc0f4b3d5ac5f2984432faa59dd8fcce6775f8b43a7140afa0f322c7a703b1',
  folder: 'onnxruntime/capi',
  libraries: [
    {
      name: 'libonnxruntime_providers_shared.so',
      bytes: 14_632,
      sha256: '086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d',
    },
    {
      name: 'libonnxruntime_providers_cuda.so',
      bytes: 272_049_904,
      sha256: '35da2e7ed0dd0d1aec5cdb16ce11a51d06c0c48cf62d1b1c9332946a4fae14fc',
    },
  ],
};
