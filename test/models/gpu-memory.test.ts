import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  describeMemory,
  freeGpuBytes,
  planGpuMemory,
  type NetworkMemory,
} from '#models/gpu-memory.ts';
import { loadManifest, type ModelManifest } from '#models/manifest.ts';
import { OnnxNetworks } from '#models/onnx-networks.ts';
import { temporaryDirectory, writePackage, writeRelu } from './package-fixture.ts';

const GIB = 2 ** 30;
/** What CUDA takes beside the networks. */
const CUDA_BYTES = GIB / 2;

/** A manifest whose networks took so many GiB, where they were measured. */
async function manifestOf(gib: Record<string, number>): Promise<ModelManifest> {
  const gpuBytes = Object.fromEntries(Object.entries(gib).map(([name, n]) => [name, n * GIB]));
  const directory = await writePackage((manifest) => {
    manifest['gpuBytes'] = gpuBytes;
  });
  return (await loadManifest(directory)).manifest;
}

describe('planGpuMemory', () => {
  it('keeps all networks loaded where they fit, and has them take turns where not', async () => {
    // Prepare
    const manifest = await manifestOf({ textEncoder: 12, denoiser: 18, vaeDecoder: 5 });

    // Act
    const [large, small] = [80, 22.5].map((gib) => planGpuMemory(manifest, gib * GIB));

    // Assess
    expect(large).toMatchObject({ fitsAtOnce: true, isMeasured: true, doubtful: [] });
    expect(small).toMatchObject({ fitsAtOnce: false, bytes: 22 * GIB, doubtful: [] });
    expect(small!.needs).toMatchObject({ textEncoder: 12 * GIB, denoiser: 18 * GIB });
    expect(describeMemory(small!)).toBe('networks take 35.0 GiB of 22.0 GiB: they take turns');
  });

  it('doubts a network that took more, and gives it all there is', async () => {
    const plan = planGpuMemory(await manifestOf({ denoiser: 18 }), 16 * GIB);

    expect(plan).toMatchObject({ doubtful: ['denoiser'], needs: { denoiser: 15.5 * GIB } });
    expect(describeMemory(plan)).toContain('denoiser took more where the model was exported');
  });

  it('takes as many requests of a denoiser call as were asked for and fit, and gives it their memory', async () => {
    // Prepare: weights of some 20 bytes, so that a request takes 3 GiB.
    const manifest = await manifestOf({ textEncoder: 4, denoiser: 3, vaeDecoder: 5 });

    // Act: 12 GiB for one of each, and the rest for more requests.
    const plans = [12, 17.9, 18, 100].map((gib) =>
      planGpuMemory(manifest, gib * GIB + CUDA_BYTES + 2 ** 20, 8),
    );
    const [unmeasured] = [planGpuMemory(await manifestOf({}), 12 * GIB, 8)];

    // Assess
    expect(plans.map(({ batch }) => batch)).toEqual([1, 2, 3, 8]);
    expect(plans[2]!.needs.denoiser! / GIB).toBeCloseTo(9, 3);
    expect(unmeasured.batch).toBe(8);
    expect(planGpuMemory(manifest, 100 * GIB).batch).toBe(1);
  });

  it('refuses a GPU that cannot hold the weights of a network, by its name', async () => {
    // Prepare: networks of some 20 bytes.
    const { manifest } = await loadManifest(await writePackage());

    // Act & Assess
    expect(planGpuMemory(manifest, CUDA_BYTES + 1000)).toMatchObject({ isMeasured: false });
    expect(() => planGpuMemory(manifest, CUDA_BYTES + 2)).toThrow(
      expect.objectContaining({
        code: 'gpu_missing',
        message: expect.stringContaining('the weights of denoiser take'),
        fix: expect.any(String),
      }),
    );
  });
});

describe('freeGpuBytes', () => {
  afterEach(() => vi.unstubAllEnvs());

  it.each([
    ['the free memory of the GPU', 'echo 22571', 22571 * 2 ** 20],
    ['null where the tool fails', 'exit 9', null],
    ['null where the tool knows no number', 'echo "[N/A]"', null],
  ])('gives %s', async (_, script, bytes) => {
    // Prepare
    const folder = await temporaryDirectory();
    await writeFile(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, 'nvidia-smi'), 0o755);
    vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);

    // Act & Assess
    expect(await freeGpuBytes()).toBe(bytes);
  });
});

describe('OnnxNetworks with little memory', () => {
  const INPUT = { x: { data: Float32Array.of(1, -2, 3, -4), shape: [1, 4] } };

  async function open(memory: NetworkMemory): Promise<OnnxNetworks> {
    const path = await writeRelu(await temporaryDirectory());
    return new OnnxNetworks({ judge: path, segmenter: path, denoiser: path }, { memory });
  }

  it('unloads what was not run for the longest until a network fits', async () => {
    // Prepare
    const networks = await open({ bytes: 10, needs: { judge: 3, segmenter: 3, denoiser: 6 } });

    // Act
    const loaded: string[][] = [];
    for (const name of ['judge', 'segmenter', 'judge', 'denoiser', 'segmenter'] as const) {
      const { y } = await networks.run(name, INPUT);
      expect([...y!.data]).toEqual([1, 0, 3, 0]);
      loaded.push(networks.loaded);
    }
    await networks.close();

    // Assess
    expect(loaded).toEqual([
      ['judge'],
      ['judge', 'segmenter'],
      ['segmenter', 'judge'],
      ['judge', 'denoiser'],
      ['denoiser', 'segmenter'],
    ]);
    expect(networks.loaded).toEqual([]);
  });

  it('never unloads a network that is running', async () => {
    // Prepare
    const networks = await open({ bytes: 4, needs: { judge: 3, segmenter: 3 } });

    // Act
    const answers = await Promise.all(
      (['judge', 'segmenter', 'judge', 'segmenter'] as const).map((name) =>
        networks.run(name, INPUT),
      ),
    );
    await networks.close();

    // Assess
    for (const { y } of answers) expect([...y!.data]).toEqual([1, 0, 3, 0]);
  });

  it('names a network that is larger than the memory', async () => {
    const networks = await open({ bytes: 4, needs: { judge: 5 } });

    await expect(networks.run('judge', INPUT)).rejects.toMatchObject({
      code: 'gpu_missing',
      message: expect.stringContaining('judge'),
    });
  });
});
