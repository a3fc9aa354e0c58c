import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FlexCacheError } from '#core/errors.ts';
import { sha256OfFile } from '#files/sha256-of-file.ts';
import { writeFileAtomically } from '#files/write-file-atomically.ts';
import {
  packageFiles,
  REINSTALL,
  requireDeclaredSize,
  type DeclaredFile,
  type ModelPackage,
} from './manifest.ts';

/** Beside `model.json`: large files that were found to be what the manifest declares, as they were then. */
export const VERIFIED_FILE = '.flexcache-verified.json';

/** Hashing smaller files takes no time worth remembering. */
const LARGE_BYTES = 256 * 2 ** 20;

/** What changes whenever somebody writes a file. */
const verifiedFile = z.strictObject({
  sha256: z.string(),
  bytes: z.number(),
  modifiedMs: z.number(),
  changedMs: z.number(),
});
const verifiedFiles = z.record(z.string(), verifiedFile);

type VerifiedFile = z.infer<typeof verifiedFile>;

export interface VerifyOptions {
  /** Files from so many bytes on are remembered, and not hashed again until they are written. */
  largeBytes?: number;
}

const verifications = new Map<string, Promise<void>>();

/**
 * Checks the sha256 of every file of the package. One process hashes a package once, however often
 * it is opened; large files are hashed once for all processes, as long as nobody writes them and the folder can be
 * written.
 *
 * @throws FlexCacheError `model_corrupt` naming the first file that differs.
 */
export function verifyPackage(
  modelPackage: ModelPackage,
  { largeBytes = LARGE_BYTES }: VerifyOptions = {},
): Promise<void> {
  const key = `${modelPackage.directory}\n${modelPackage.revision}`;
  let verification = verifications.get(key);
  if (verification === undefined) {
    verification = verifyFiles(modelPackage, largeBytes);
    verifications.set(key, verification);
    // A package that failed may be repaired while the process lives.
    verification.catch(() => verifications.delete(key));
  }
  return verification;
}

async function verifyFiles(modelPackage: ModelPackage, largeBytes: number): Promise<void> {
  for await (const { error } of inspectFiles(modelPackage, { largeBytes })) {
    if (error !== null) throw error;
  }
}

/** A file of a package, its path absolute, and how it differs from what the manifest declares. */
export interface FileFinding {
  file: DeclaredFile;
  /** `model_missing` or `model_corrupt`; null for a file that is as declared. */
  error: FlexCacheError | null;
}

/** Compares the size and the sha256 of one file after the other; `verifyPackage` ends at the first that differs. */
export async function* inspectFiles(
  modelPackage: ModelPackage,
  { largeBytes = LARGE_BYTES }: VerifyOptions = {},
): AsyncGenerator<FileFinding> {
  const memory = join(modelPackage.directory, VERIFIED_FILE);
  const files = packageFiles(modelPackage);
  const isLarge = ({ bytes }: DeclaredFile): boolean => bytes >= largeBytes;
  const known = files.some(isLarge) ? await readVerified(memory) : {};
  const verified: Record<string, VerifiedFile> = {};
  let isNew = false;
  for (const file of files) {
    const error = await differenceOf(file, async () => {
      if (!isLarge(file)) return verifyFile(file);
      // As it is before it is read: what is written meanwhile is not taken for what was read.
      const now = await describeFile(file);
      const isKnown = JSON.stringify(known[file.path]) === JSON.stringify(now);
      if (!isKnown) await verifyFile(file);
      isNew ||= !isKnown;
      verified[file.path] = now;
    });
    yield { file, error };
  }
  if (isNew) await writeVerified(memory, verified);
}

async function differenceOf(
  file: DeclaredFile,
  compareContent: () => Promise<void>,
): Promise<FlexCacheError | null> {
  try {
    await requireDeclaredSize(file);
    await compareContent();
    return null;
  } catch (error) {
    if (error instanceof FlexCacheError) return error;
    throw error;
  }
}

async function verifyFile(file: DeclaredFile): Promise<void> {
  const sha256 = await sha256OfFile(file.path);
  if (sha256 === file.sha256) return;
  throw new FlexCacheError(
    'model_corrupt',
    `model file ${file.path} has sha256 ${sha256}, expected ${file.sha256}`,
    { field: file.path, fix: REINSTALL },
  );
}

async function describeFile({ path, sha256 }: DeclaredFile): Promise<VerifiedFile> {
  const { size, mtimeMs, ctimeMs } = await stat(path);
  return { sha256, bytes: size, modifiedMs: mtimeMs, changedMs: ctimeMs };
}

/** Nothing where there is no such file or it is torn: then all is hashed. */
async function readVerified(path: string): Promise<Record<string, VerifiedFile>> {
  const text = await readFile(path, 'utf8').catch(() => '{}');
  try {
    return verifiedFiles.safeParse(JSON.parse(text)).data ?? {};
  } catch {
    return {};
  }
}

/** A package that cannot be written is hashed at every start. */
async function writeVerified(path: string, files: Record<string, VerifiedFile>): Promise<void> {
  try {
    await writeFileAtomically(path, JSON.stringify(files, null, 1));
  } catch (error) {
    if (!UNWRITABLE.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

const UNWRITABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT']);
