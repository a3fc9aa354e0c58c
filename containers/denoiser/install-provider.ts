/**
 * Puts CUDA's execution provider for onnxruntime into a folder.
 *
 *     node containers/denoiser/install-provider.ts FOLDER
 */
import { resolve } from 'node:path';
import { installProvider } from '#models/install/install-provider.ts';

const [target] = process.argv.slice(2);
if (target === undefined) {
  process.stderr.write('give the folder to write: install-provider.ts FOLDER\n');
  process.exitCode = 2;
} else {
  await installProvider({ folder: resolve(target) });
}
