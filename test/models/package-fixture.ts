import { createHash } from 'node:crypto';
import { mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeclaredFile } from '#models/manifest.ts';

/** The demo model package of this repository. */
export const DEMO_PACKAGE = new URL('../../containers/demo-model/package', import.meta.url)
  .pathname;

/** A tiny WanPipeline of random weights, exported with regions in float16: containers/exporter/tests/write_product_fixture.py. */
export const EXPORTED_PACKAGE = new URL('exported-package', import.meta.url).pathname;

/** An ONNX file of one Relu, `x` float32 [b,4] -> `y` float32 [b,4]. */
const RELU_ONNX = Buffer.from(
  'CAk6PQoMCgF4EgF5IgRSZWx1EgFnWhQKAXgSDwoNCAESCQoDEgFiCgIIBGIUCgF5Eg8KDQgBEgkKAxIBYgoCCARCBAoAEBI=',
  'base64',
);

export function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'flexcache-test-'));
}

/** Writes the Relu network and returns its path. */
export async function writeRelu(directory: string): Promise<string> {
  const path = join(directory, 'relu.onnx');
  await writeFile(path, RELU_ONNX);
  return path;
}

type Manifest = Record<string, unknown> & {
  files: Record<string, DeclaredFile[]>;
};

/** Writes a file of a package and declares it. */
export async function writeDeclared(
  directory: string,
  path: string,
  text: string | Buffer,
): Promise<DeclaredFile> {
  const content = Buffer.from(text as string);
  await writeFile(join(directory, path), content);
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { path, sha256, bytes: content.length };
}

/** A package in a folder of its own, whose networks are small files of noise. */
export async function writePackage(
  change: (manifest: Manifest, directory: string) => void | Promise<void> = () => {},
): Promise<string> {
  const directory = await temporaryDirectory();
  const manifest = JSON.parse(await readFile(join(DEMO_PACKAGE, 'model.json'), 'utf8')) as Manifest;
  for (const [name, [graph]] of Object.entries(manifest.files)) {
    Object.assign(graph!, await writeDeclared(directory, graph!.path, `content of ${name}`));
  }
  await change(manifest, directory);
  await writeFile(join(directory, 'model.json'), JSON.stringify(manifest));
  return directory;
}

/** The demo package with another manifest: its networks are those of the demo package. It has no calibration. */
export async function linkedDemoPackage(change: (manifest: Manifest) => void): Promise<string> {
  return linkedPackage(DEMO_PACKAGE, change);
}

/** A package with another manifest, and the files that it shares with the one whose folder is given. */
export async function linkedPackage(
  from: string,
  change: (manifest: Manifest) => void,
): Promise<string> {
  const directory = await temporaryDirectory();
  const manifest = JSON.parse(await readFile(join(from, 'model.json'), 'utf8')) as Manifest;
  change(manifest);
  const paths = new Set(Object.values(manifest.files).flatMap((files) => files.map(pathOf)));
  for (const path of paths) await symlink(join(from, path), join(directory, path));
  await writeFile(join(directory, 'model.json'), JSON.stringify(manifest));
  return directory;
}

function pathOf({ path }: DeclaredFile): string {
  return path;
}

/** As an exporter of diffusers' pipelines leaves a package: networks that make videos, and nothing that looks at them. */
export function leaveOutLookup(manifest: Manifest): void {
  for (const name of ['segmenter', 'textTower', 'videoTower', 'judge']) delete manifest.files[name];
  for (const field of ['embedding', 'splitter', 'lookup', 'judge']) delete manifest[field];
  delete (manifest['scheduler'] as Record<string, unknown>)['referenceSteps'];
}
