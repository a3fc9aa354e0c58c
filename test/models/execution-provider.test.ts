import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { checkProviderLibraries, providerFolder } from '#models/execution-provider.ts';

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-provider-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe.skipIf(process.platform !== 'linux')('the libraries of a provider', () => {
  test('a provider that npm does not bring is missing by the name of its library', async () => {
    const folder = await temporaryFolder();

    await expect(checkProviderLibraries('cuda', folder)).rejects.toMatchObject({
      code: 'gpu_missing',
      field: 'executionProvider',
      message: expect.stringContaining('libonnxruntime_providers_shared.so is not there'),
      fix: expect.stringContaining(folder),
    });
  });

  test('what a provider library needs and the system lacks is named', async () => {
    const folder = await temporaryFolder();
    // It needs libonnxruntime.so.1, and here that is not beside it.
    const needy = join(providerFolder(), 'onnxruntime_binding.node');
    await copyFile(needy, join(folder, 'libonnxruntime_providers_shared.so'));
    await copyFile(needy, join(folder, 'libonnxruntime_providers_cuda.so'));

    await expect(checkProviderLibraries('cuda', folder)).rejects.toMatchObject({
      code: 'gpu_missing',
      message: expect.stringContaining('libonnxruntime.so.1 is not there'),
      fix: expect.stringContaining('LD_LIBRARY_PATH'),
    });
  });

  test('libraries that load, or fail in their own way, are there; then cuDNN is looked for', async () => {
    const folder = await temporaryFolder();
    const loadable = join(providerFolder(), 'libonnxruntime.so.1');
    await copyFile(loadable, join(folder, 'libonnxruntime_providers_shared.so'));
    await writeFile(join(folder, 'libonnxruntime_providers_cuda.so'), 'no library');

    const refusal = await checkProviderLibraries('cuda', folder).catch((error: Error) => error);
    if (refusal !== undefined) expect(refusal.message).toContain('libcudnn.so.9 is not there');
    await expect(checkProviderLibraries('cpu', folder)).resolves.toBeUndefined();
  });
});
