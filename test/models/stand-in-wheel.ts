import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CUDA_WHEEL, type ProviderWheel } from '#models/install/cuda-wheel.ts';

/** Makes a zip file; its path, and what is in it. */
const ZIP = `
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
    for name, text in json.loads(sys.argv[2]).items():
        archive.writestr(name, text)
`;

/** Whether this machine has what installing needs. */
export const HAS_PIP = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;

export interface StandInWheel {
  file: string;
  /** What `CUDA_WHEEL` is for the real one. */
  wheel: ProviderWheel;
}

/** Writes a small wheel into a folder, laid out as the real one: two libraries that no loader takes, and others. */
export function standInWheel(folder: string): StandInWheel {
  const { python, pipPlatform, folder: inWheel } = CUDA_WHEEL;
  const name = 'flexcache_stand_in-1.0';
  const contents = Object.fromEntries(
    CUDA_WHEEL.libraries.map((library) => [
      library.name,
      `stands for ${library.name}`.repeat(1000),
    ]),
  );
  const tag = `cp${python.replace('.', '')}`;
  const file = join(folder, `${name}-${tag}-${tag}-${pipPlatform}.whl`);
  const entries = {
    'onnxruntime/__init__.py': '',
    ...Object.fromEntries(
      Object.entries(contents).map(([library, text]) => [`${inWheel}/${library}`, text]),
    ),
    [`${inWheel}/libonnxruntime_providers_tensorrt.so`]: 'not wanted',
    [`${name}.dist-info/METADATA`]:
      'Metadata-Version: 2.1\nName: flexcache-stand-in\nVersion: 1.0\n',
    [`${name}.dist-info/WHEEL`]: `Wheel-Version: 1.0\nTag: ${tag}-${tag}-${pipPlatform}\n`,
    [`${name}.dist-info/RECORD`]: '',
  };
  execFileSync('python3', ['-I', '-c', ZIP, file, JSON.stringify(entries)]);
  const bytes = readFileSync(file);
  return {
    file,
    wheel: {
      ...CUDA_WHEEL,
      package: 'flexcache-stand-in',
      version: '1.0',
      bytes: bytes.byteLength,
      sha256: sha256(bytes),
      libraries: Object.entries(contents).map(([library, text]) => ({
        name: library,
        bytes: text.length,
        sha256: sha256(text),
      })),
    },
  };
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
