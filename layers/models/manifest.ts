import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { FlexCacheError } from '#core/errors.ts';
import { SOLVERS } from '#core/generation.ts';
import type { Compatibility } from '#core/identity.ts';

export const MANIFEST_FILE = 'model.json';

export const NETWORK_NAMES = [
  'textEncoder',
  'denoiser',
  'vaeDecoder',
  'vaeEncoder',
  'segmenter',
  'textTower',
  'videoTower',
  'judge',
] as const;

/** A network of a package, by its name in `files`. */
export type NetworkName = (typeof NETWORK_NAMES)[number];

const extent = z.int().positive();
const cosine = z.number().min(-1).max(1);
const packageFile = z.strictObject({
  // Absolute paths and `..` would let a package name files that are not its own.
  path: z
    .string()
    .regex(/^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]*$/, 'expected a path inside the package'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits'),
  bytes: extent,
});
// The graph, then what it names as its external data, by paths relative to its own.
const networkFiles = z
  .array(packageFile)
  .min(1)
  .refine((files) => files.every(({ path }) => dirname(path) === dirname(files[0]!.path)), {
    error: 'expected all files of a network in one folder',
  });

const manifestSchema = z.strictObject({
  format: z.literal('flexcache-model/2'),
  name: z.string().min(1),
  version: z.string().min(1).default('unknown'),
  license: z.string().min(1).default('unknown'),
  // Of the pipeline that it was exported from.
  family: z.string().min(1).optional(),
  video: z.strictObject({
    frames: extent,
    height: extent,
    width: extent,
    framesPerSecond: z.number().positive(),
  }),
  latent: z.strictObject({ channels: extent, frames: extent, height: extent, width: extent }),
  text: z.strictObject({
    maxTokens: extent,
    hidden: extent,
    // That of `[PAD]`, or 0, unless given.
    padId: z.int().nonnegative().optional(),
    // Ends a prompt that was cut; null or absent for a tokenizer without one.
    eosId: z.int().nonnegative().nullable().optional(),
    addsSpecialTokens: z.boolean().default(false),
    // What guidance leads away from.
    negativePrompt: z.string().default(''),
  }),
  scheduler: z
    .strictObject({
      type: z.literal('rectified-flow'),
      steps: extent,
      referenceSteps: extent,
      guidance: z.number().min(1),
      solver: z.enum(SOLVERS).default('euler'),
      // How noise levels follow from start times (`NoiseSchedule`); at most one of the two.
      shift: z.number().positive().optional(),
      sigmas: z
        .array(z.number())
        .min(2)
        .refine((sigmas) => sigmas[0] === 1 && sigmas.at(-1) === 0, {
          error: 'expected the first to be 1 and the last 0',
        })
        .refine(
          (sigmas) => sigmas.every((sigma, index) => index === 0 || sigma < sigmas[index - 1]!),
          {
            error: 'expected each to be smaller than the one before',
          },
        )
        .optional(),
    })
    .refine(({ shift, sigmas }) => shift === undefined || sigmas === undefined, {
      error: 'expected shift or sigmas, not both',
      path: ['sigmas'],
    }),
  regions: z
    .strictObject({
      // Extents of a denoiser's token in latent frames, rows and columns.
      patch: z.tuple([extent, extent, extent]),
      blocks: extent,
      heads: extent,
      headWidth: extent,
      trained: z.boolean(),
    })
    .optional(),
  embedding: z.strictObject({ dimensions: extent }),
  splitter: z.strictObject({
    labels: z
      .array(z.string())
      .refine((labels) => labels.includes('object') && labels.includes('background'), {
        error: 'expected labels "object" and "background" among others',
      }),
  }),
  lookup: z.strictObject({
    thresholds: z.strictObject({ whole: cosine, object: cosine, background: cosine }),
  }),
  judge: z
    .strictObject({
      attributes: z
        .array(
          z
            .strictObject({
              name: z.string().min(1),
              part: z.enum(['object', 'background']),
              values: z.array(z.string().min(1)).min(2),
              // Whether it tells where the object is in the course of the video.
              place: z.boolean().optional(),
              words: z.array(z.array(z.string().min(1))).optional(),
            })
            .refine(({ values, words }) => words === undefined || words.length === values.length, {
              error: 'expected one list of words for each value',
            }),
        )
        .min(1),
    })
    .optional(),
  // Of a GPU's memory, what each network takes with the rows that it is run with, as its exporter measured it.
  gpuBytes: z.partialRecord(z.enum(NETWORK_NAMES), extent).optional(),
  files: z.strictObject({
    tokenizer: z.array(packageFile).length(1),
    textEncoder: networkFiles,
    denoiser: networkFiles,
    vaeDecoder: networkFiles,
    vaeEncoder: networkFiles.optional(),
    segmenter: networkFiles,
    textTower: networkFiles,
    videoTower: networkFiles,
    judge: networkFiles.optional(),
  }),
});

/** `model.json`; docs/architecture.md describes every field. */
export type ModelManifest = z.infer<typeof manifestSchema>;

/** A network of a package or its tokenizer, by its name in `files`. */
export type PackageFileName = keyof ModelManifest['files'];

/** All that turning a prompt into vectors needs: what functions are deployed with. */
export const EMBEDDER_FILES: readonly PackageFileName[] = ['tokenizer', 'textTower'];

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
  if (parsed.success) return parsed.data;
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

/** Hexadecimal sha256 over the files' names and hashes in name order. */
export function modelRevision({ files }: Pick<ModelManifest, 'files'>): string {
  const digest = createHash('sha256');
  for (const name of (Object.keys(files) as PackageFileName[]).sort()) {
    for (const { sha256 } of files[name] ?? []) digest.update(`${name} ${sha256}\n`);
  }
  return digest.digest('hex');
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

/** Absolute path of a network's graph, or of the tokenizer; null when the package does not have it. */
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

/** A file of a package as its manifest declares it; the path is relative to the package. */
export type DeclaredFile = z.infer<typeof packageFile>;

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
