import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { transform } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };

/**
 * Writes the folder that is installed as a dependency: what the command runs, as JavaScript, as Node runs
 * no TypeScript below `node_modules`. Files lie as they do in the repository.
 */

const ROOT = join(import.meta.dirname, '..');
const TARGET = join(ROOT, 'dist');

/** Modules that no import leads to. */
const ENTRIES = [
  'cli/main.ts',
  'layers/models/network-thread-main.ts',
  'containers/denoiser/encode-group-main.ts',
];

/** What is read while it runs. */
const DATA = [
  'cli/demo-prompts.jsonl',
  'layers/core/pricing/prices',
  'local/generate.asl.json',
  'local/backfill.asl.json',
  'containers/demo-model/package',
];

/** Where a module is imported from, in the form in which esbuild writes it; packages are left out. */
const SPECIFIER = /\b(from|import) ?(\(?)"([.#][^"\n]+)"/g;

await build();

async function build(): Promise<void> {
  rmSync(TARGET, { recursive: true, force: true });
  const waiting = [...ENTRIES];
  const seen = new Set(waiting);
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    for (const imported of await buildFile(file)) {
      if (seen.has(imported)) continue;
      seen.add(imported);
      waiting.push(imported);
    }
  }
  for (const path of DATA) cpSync(join(ROOT, path), join(TARGET, path), { recursive: true });
  const { name, version, type, engines, imports } = packageJson;
  write('package.json', JSON.stringify({ name, version, type, engines, imports }, null, 2));
}

/** Returns the files that it imports. */
async function buildFile(file: string): Promise<string[]> {
  const source = readFileSync(join(ROOT, file), 'utf8');
  if (!file.endsWith('.ts')) {
    if (file !== 'package.json') write(file, source);
    return [];
  }
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node24' });
  const imported: string[] = [];
  const rewritten = code.replaceAll(SPECIFIER, (_, keyword, bracket, specifier: string) => {
    imported.push(fileOf(file, specifier));
    return `${keyword} ${bracket}${JSON.stringify(asJavaScript(specifier))}`;
  });
  write(asJavaScript(file), rewritten);
  return imported;
}

/** The file, from the root of the repository, that a specifier of another names. */
function fileOf(importer: string, specifier: string): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(importer), specifier);
  const prefix = specifier.slice(0, specifier.indexOf('/') + 1);
  const folder = Object.entries(packageJson.imports).find(([from]) => from === `${prefix}*`)?.[1];
  if (folder === undefined) throw new Error(`${importer} imports ${specifier}, which is not known`);
  return posix.normalize(folder.replace('*', specifier.slice(prefix.length)));
}

function asJavaScript(path: string): string {
  return path.replace(/\.ts$/, '.js');
}

function write(file: string, content: string): void {
  const path = join(TARGET, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
