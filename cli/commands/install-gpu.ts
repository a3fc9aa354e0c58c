import { resolve } from 'node:path';
import { removeLeftovers } from '#files/write-file-atomically.ts';
import { providerFolder } from '#models/execution-provider.ts';
import { CUDA_WHEEL } from '#models/install/cuda-wheel.ts';
import { INSTALL_PART_PREFIX, installProvider } from '#models/install/install-provider.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { describeProvider, inspectProvider } from '../provider-report.ts';
import { line, size } from '../retention/amounts.ts';

export interface InstallGpuOptions extends GlobalOptions {
  wheel?: string;
  force?: boolean;
  json?: boolean;
}

/**
 * Puts CUDA's execution provider beside onnxruntime's library, and then opens a network of the model on it.
 *
 * @param target what is installed where: CUDA's wheel, for the onnxruntime that this process uses, unless said
 */
export async function installGpu(
  context: CliContext,
  options: InstallGpuOptions,
  { wheel = CUDA_WHEEL, folder = providerFolder() } = {},
): Promise<ExitCode> {
  const { stdout, stderr, workingDirectory } = context;
  const interrupt = new AbortController();
  const stopListening = context.onInterrupt(() => interrupt.abort());
  let isNew: boolean;
  try {
    await removeLeftovers(folder, INSTALL_PART_PREFIX);
    isNew = await installProvider({
      folder,
      ...(options.wheel !== undefined && { wheelFile: resolve(workingDirectory, options.wheel) }),
      isForced: options.force === true,
      showsProgress: context.progress !== null,
      onDownload: () =>
        stderr.write(
          `flexcache: downloading ${wheel.package} ${wheel.version} (${size(wheel.bytes)})\n`,
        ),
      signal: interrupt.signal,
      wheel,
    });
  } catch (error) {
    if (interrupt.signal.aborted) return EXIT.interrupted;
    throw error;
  } finally {
    stopListening();
  }
  const provider = await inspectProvider('cuda', resolve(workingDirectory, options.model), folder);
  const files = wheel.libraries.map(({ name }) => name);
  const text = options.json
    ? JSON.stringify({ folder, files, alreadyThere: !isNew, provider })
    : [
        line(
          'libraries',
          `${isNew ? 'installed' : 'already there'}: ${files.join(', ')} in ${folder}`,
        ),
        line('cuda', describeProvider(provider)),
      ].join('\n');
  stdout.write(`${text}\n`);
  return 'error' in provider ? EXIT.failed : EXIT.success;
}
