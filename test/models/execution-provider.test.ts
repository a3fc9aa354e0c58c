import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { FlexCacheError } from '#core/errors.ts';
import { checkProviderLibraries, providerFolder } from '#models/execution-provider.ts';

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-provider-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe.skipIf(process.platform !== 'linux')('the libraries of a provider', () => {
  test('a provider that npm does not bring is missing by the names of its libraries alone, which a command installs', async () => {
    const folder = await temporaryFolder();

    await expect(checkProviderLibraries('cuda', folder)).rejects.toMatchObject({
      code: 'gpu_missing',
      field: 'executionProvider',
      message:
        'onnxruntime cannot use cuda: libonnxruntime_providers_shared.so, libonnxruntime_providers_cuda.so are not there',
      fix: expect.stringMatching(`flexcache install-gpu.*${folder}`),
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
      message: expect.stringMatching(/libonnxruntime\.so\.1(,| is).* not there/),
      fix: expect.stringContaining('LD_LIBRARY_PATH'),
    });
  });

  test('libraries that load, or fail in their own way, are there; then cuDNN and the driver are looked for', async () => {
    const folder = await temporaryFolder();
    const loadable = join(providerFolder(), 'libonnxruntime.so.1');
    await copyFile(loadable, join(folder, 'libonnxruntime_providers_shared.so'));
    await writeFile(join(folder, 'libonnxruntime_providers_cuda.so'), 'no library');

    const refusal = await checkProviderLibraries('cuda', folder).catch((error: Error) => error);
    if (refusal !== undefined) {
      expect(refusal).toMatchObject({
        message: expect.stringMatching(
          /: (libcudnn\.so\.9)?(, )?(libcuda\.so\.1)? (is|are) not there$/,
        ),
      });
      const { message, fix } = refusal as FlexCacheError;
      expect(fix!.includes('cuDNN 9')).toBe(message.includes('libcudnn.so.9'));
      expect(fix!.includes('driver, 580')).toBe(message.includes('libcuda.so.1'));
    }
    await expect(checkProviderLibraries('cpu', folder)).resolves.toBeUndefined();
  });
});
