/**
 * Lays out the folder that the worker's image runs from: the code in a few files, and of
 * `node_modules` only what cannot be bundled.
 *
 *     node containers/denoiser/build-image.ts FOLDER
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { buildSync } from 'esbuild';

const REPOSITORY_ROOT = resolve(import.meta.dirname, '../..');
const MODULES = join(REPOSITORY_ROOT, 'node_modules');

/** Started by name: the worker, its health check, the threads of its networks and of its video encoder. */
const ENTRY_POINTS = [
  'containers/denoiser/main.ts',
  'containers/denoiser/health.ts',
  'layers/models/network-thread-main.ts',
  'containers/denoiser/encode-group-main.ts',
];

/** They load binaries, or files beside their own. */
const SHIPPED_MODULES = ['onnxruntime-node', 'sharp', 'h264-mp4-encoder'];

/** What the install script of onnxruntime-node needs, and nothing else. */
const INSTALL_ONLY = new Set(['adm-zip', 'global-agent']);

/** Of onnxruntime-node, the binaries of this platform alone. */
const BINARIES = join('onnxruntime-node', 'bin', 'napi-v6');
const OWN_BINARIES = join(BINARIES, process.platform, process.arch);

function bundle(folder: string): void {
  buildSync({
    entryPoints: ENTRY_POINTS.map((file) => join(REPOSITORY_ROOT, file)),
    entryNames: '[name]',
    outdir: folder,
    absWorkingDir: REPOSITORY_ROOT,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    external: SHIPPED_MODULES,
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'error',
  });
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}\n');
}

function shipModules(folder: string): void {
  const shipped = new Set<string>();
  const waiting = [...SHIPPED_MODULES];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const from = join(MODULES, name);
    // An optional dependency for another platform is not installed.
    if (shipped.has(name) || INSTALL_ONLY.has(name) || !existsSync(from)) continue;
    shipped.add(name);
    cpSync(from, join(folder, 'node_modules', name), { recursive: true, filter: isNeeded });
    waiting.push(...dependenciesOf(from));
  }
}

function dependenciesOf(module: string): string[] {
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
    readFileSync(join(module, 'package.json'), 'utf8'),
  ) as Record<'dependencies' | 'optionalDependencies', Record<string, string> | undefined>;
  return Object.keys({ ...dependencies, ...optionalDependencies });
}

function isNeeded(path: string): boolean {
  const inModules = relative(MODULES, path);
  if (!inModules.startsWith(BINARIES + sep)) return true;
  return OWN_BINARIES.startsWith(inModules) || inModules.startsWith(OWN_BINARIES);
}

const [target] = process.argv.slice(2);
if (target === undefined) {
  process.stderr.write('give the folder to write: build-image.ts FOLDER\n');
  process.exitCode = 2;
} else {
  const folder = resolve(target);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  bundle(folder);
  shipModules(folder);
}
