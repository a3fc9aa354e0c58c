import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { FlexCacheError } from '#core/errors.ts';
import type { Compatibility } from '#core/requests/identity.ts';
import { LEXICAL_DIMENSIONS } from './lexical-embedder.ts';
import {
  manifestSchema,
  NETWORK_NAMES,
  type DeclaredFile,
  type ModelManifest,
  type NetworkName,
  type PackageFileName,
} from './manifest-schema.ts';

export { NETWORK_NAMES };
export type { DeclaredFile, ModelManifest, NetworkName, PackageFileName };

export const MANIFEST_FILE = 'model.json';

/** All that turning a prompt into vectors needs, as far as a package has it: what functions are deployed with. */
export const EMBEDDER_FILES: readonly PackageFileName[] = [
  'tokenizer',
  'textTower',
  'embedder',
  'embedderTokenizer',
];

export interface LoadManifestOptions {
  /** The files that will be read, all unless said: who reads few need not have the rest. */
  files?: readonly PackageFileName[];
}

/** A model package whose manifest is valid and whose files are there with the declared sizes. */
export interface ModelPackage {
  directory: string;
  manifest: ModelManifest;
  /** sha256 over the files' names and hashes: the same revision is the same model. */
  revision: string;
}

/** What to do about a package whose files are not as they should be. */
export const REINSTALL = 'fetch or export the model package again, or point --model at another one';

/**
 * Reads a package's manifest and checks that the files asked for are there with the declared sizes. Their
 * contents are checked by `verifyPackage`.
 *
 * @throws FlexCacheError `model_missing` when the folder, the manifest or a file is not there;
 * `model_corrupt` when the manifest is wrong, naming the field, or a file has another size.
 */
export async function loadManifest(
  directory: string,
  options: LoadManifestOptions = {},
): Promise<ModelPackage> {
  const manifest = parseManifest(directory, await readManifest(directory));
  const modelPackage = { directory, manifest, revision: modelRevision(manifest) };
  await Promise.all(packageFiles(modelPackage, options.files).map(requireDeclaredSize));
  return modelPackage;
}

async function readManifest(directory: string): Promise<string> {
  try {
    return await readFile(join(directory, MANIFEST_FILE), 'utf8');
  } catch (error) {
    throw new FlexCacheError(
      'model_missing',
      `there is no model package in ${directory}: ${MANIFEST_FILE} cannot be read`,
      { field: MANIFEST_FILE, fix: REINSTALL, cause: error },
    );
  }
}

/**
 * The manifest in the text of a package's `model.json`.
 *
 * @throws FlexCacheError `model_corrupt` naming the first wrong field; its cause is an AggregateError with one such error a field.
 */
export function parseManifest(directory: string, text: string): ModelManifest {
  const path = join(directory, MANIFEST_FILE);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FlexCacheError('model_corrupt', `${path} is not JSON`, {
      field: MANIFEST_FILE,
      fix: REINSTALL,
      cause: error,
    });
  }
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) {
    const { embedding = { dimensions: LEXICAL_DIMENSIONS }, ...rest } = parsed.data;
    return { ...rest, embedding };
  }
  const problems = parsed.error.issues.map((issue) => wrongField(path, issue));
  const { code, message, field, fix } = problems[0]!;
  throw new FlexCacheError(code, message, {
    field: field!,
    fix: fix!,
    cause: new AggregateError(problems, `${path} is no manifest`),
  });
}

function wrongField(path: string, issue: z.core.$ZodIssue): FlexCacheError {
  if (issue.code === 'unrecognized_keys') {
    const field = [...issue.path, issue.keys[0]].join('.');
    return new FlexCacheError('model_corrupt', `${path}: ${field}: no such field`, {
      field,
      fix: `remove ${field} from ${MANIFEST_FILE}, or write it as docs/model-package.schema.json has it`,
    });
  }
  const field = issue.path.join('.') || 'the whole file';
  return new FlexCacheError('model_corrupt', `${path}: ${field}: ${issue.message}`, {
    field,
    fix: `correct ${field} in ${MANIFEST_FILE}, or ${REINSTALL}`,
  });
}

/**
 * Hexadecimal sha256 over the files' names and hashes in name order, and over how an image encoder is shown frames, where
 * one is: shown them otherwise it makes vectors that are not compared with these.
 */
export function modelRevision({
  files,
  videoVectors,
}: Pick<ModelManifest, 'files' | 'videoVectors'>): string {
  const digest = createHash('sha256');
  for (const name of (Object.keys(files) as PackageFileName[]).sort()) {
    for (const { sha256 } of files[name] ?? []) digest.update(`${name} ${sha256}\n`);
  }
  if (videoVectors?.source === 'frames') {
    const { frames, height, width, mean, std } = videoVectors;
    digest.update(`videoVectors ${[frames, height, width, ...mean, ...std].join(' ')}\n`);
  }
  return digest.digest('hex');
}

/** Network evaluations of the full generations that a calibration compares with. */
export function referenceSteps({ scheduler }: Pick<ModelManifest, 'scheduler'>): number {
  return scheduler.referenceSteps ?? scheduler.steps;
}

/** What the compatibility key of this package is made from. */
export function compatibilityOf({ manifest, revision }: ModelPackage): Compatibility {
  const { latent, scheduler, text } = manifest;
  return {
    modelRevision: revision,
    latent: {
      channels: latent.channels,
      frames: latent.frames,
      height: latent.height,
      width: latent.width,
    },
    scheduler: {
      type: scheduler.type,
      guidance: scheduler.guidance,
      shift: scheduler.shift,
      sigmas: scheduler.sigmas,
    },
    negativePrompt: text.negativePrompt,
  };
}

/** Absolute path of a network's graph, or of a tokenizer; null when the package does not have it. */
export function packageFilePath(
  { directory, manifest }: ModelPackage,
  name: PackageFileName,
): string | null {
  const [graph] = manifest.files[name] ?? [];
  return graph === undefined ? null : join(directory, graph.path);
}

/** Paths of the networks that the package has. */
export function networkPaths(modelPackage: ModelPackage): Partial<Record<NetworkName, string>> {
  const paths: Partial<Record<NetworkName, string>> = {};
  for (const name of NETWORK_NAMES) {
    const path = packageFilePath(modelPackage, name);
    if (path !== null) paths[name] = path;
  }
  return paths;
}

/** Files of the networks named, all unless said, external data included. */
export function declaredFiles(
  { files }: Pick<ModelManifest, 'files'>,
  names: readonly PackageFileName[] = Object.keys(files) as PackageFileName[],
): DeclaredFile[] {
  return names.flatMap((name) => files[name] ?? []);
}

/** The same with absolute paths. */
export function packageFiles(
  { directory, manifest }: ModelPackage,
  names?: readonly PackageFileName[],
): DeclaredFile[] {
  return declaredFiles(manifest, names).map((file) => ({
    ...file,
    path: join(directory, file.path),
  }));
}

/** Bytes of each network that a package has, external data included: its weights, for the most part. */
export function networkBytes(
  manifest: Pick<ModelManifest, 'files'>,
): Partial<Record<NetworkName, number>> {
  return Object.fromEntries(
    NETWORK_NAMES.filter((name) => manifest.files[name] !== undefined).map((name) => [
      name,
      declaredFiles(manifest, [name]).reduce((sum, { bytes }) => sum + bytes, 0),
    ]),
  );
}

/** @throws FlexCacheError `model_missing` or `model_corrupt` naming the file, whose path is absolute. */
export async function requireDeclaredSize(file: DeclaredFile): Promise<void> {
  let bytes: number;
  try {
    bytes = (await stat(file.path)).size;
  } catch (error) {
    throw new FlexCacheError('model_missing', `model file ${file.path} cannot be read`, {
      field: file.path,
      fix: REINSTALL,
      cause: error,
    });
  }
  if (bytes !== file.bytes) {
    throw new FlexCacheError(
      'model_corrupt',
      `model file ${file.path} has ${bytes} bytes, expected ${file.bytes}`,
      { field: file.path, fix: REINSTALL },
    );
  }
}
