import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, open, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { sha256OfFile } from '#files/sha256-of-file.ts';
import { CUDA_WHEEL, type ProviderWheel } from './cuda-wheel.ts';
import { runPython, type PythonOptions } from './run-python.ts';

/**
 * What the name of an installation's temporary folder begins with; then come the id of its process, a
 * dot, anything, and `.part`. A folder whose process is gone was left by a kill.
 */
export const INSTALL_PART_PREFIX = '.flexcache-provider.';

/** Unpacks entries of a wheel, which is a zip file: its path, a folder, the entries. */
const UNPACK = `
import os, shutil, sys, zipfile
wheel, folder, *entries = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for entry in entries:
        target = os.path.join(folder, os.path.basename(entry))
        with archive.open(entry) as source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
`;

export interface InstallProviderOptions {
  /** Where onnxruntime looks for its providers; made where it is not there. */
  folder: string;
  /** A wheel that is there already; else pip downloads it from the index that the user has set. */
  wheelFile?: string;
  /** Repeats it although the libraries are there. */
  isForced?: boolean;
  /** Whether pip's progress is shown on stderr. */
  showsProgress?: boolean;
  /** Called before a download begins. */
  onDownload?: () => void;
  /** Ends it early: it then rejects with the signal's `AbortError`. */
  signal?: AbortSignal;
  /** CUDA's unless said. */
  wheel?: ProviderWheel;
  /** `process.platform` and `process.arch` with a slash between, unless said. */
  platform?: string;
}

/**
 * Puts the libraries of an execution provider, and nothing else of their wheel, where onnxruntime looks
 * for them. The wheel and its libraries are compared with their checksums first; each library then appears
 * by a rename, whole or not at all. However it ends, short of a kill, nothing else stays in the folder.
 *
 * @returns false if all of them were there already, by their checksums, so that nothing was done.
 * @throws FlexCacheError `gpu_missing` for a platform without the provider, `permission_denied`,
 * `disk_full`, or `install_failed` where Python or pip is missing or fails; InvalidInputError for a
 * `wheelFile` that is not this wheel.
 */
export async function installProvider({
  folder,
  wheelFile,
  isForced = false,
  showsProgress = false,
  onDownload,
  signal,
  wheel = CUDA_WHEEL,
  platform = `${process.platform}/${process.arch}`,
}: InstallProviderOptions): Promise<boolean> {
  if (platform !== wheel.platform) {
    throw new FlexCacheError(
      'gpu_missing',
      `${wheel.package} has its provider for ${wheel.platform} only, and this is ${platform}`,
      { field: 'executionProvider', fix: 'use the webgpu or the cpu provider' },
    );
  }
  if (!isForced && (await isInstalled(folder, wheel))) return false;
  await checkPlace(folder, wheel, wheelFile === undefined);
  const part = join(folder, `${INSTALL_PART_PREFIX}${process.pid}.${randomUUID()}.part`);
  try {
    await mkdir(part);
    if (wheelFile === undefined) onDownload?.();
    else await checkWheel(wheelFile, wheel);
    const python = { temporaryFolder: part, signal };
    const file = wheelFile ?? (await download(wheel, { ...python, isShown: showsProgress }));
    const entries = wheel.libraries.map(({ name }) => `${wheel.folder}/${name}`);
    const failure = `${file} cannot be unpacked`;
    await runPython(['-I', '-c', UNPACK, file, part, ...entries], { ...python, failure });
    await checkUnpacked(part, wheel);
    signal?.throwIfAborted();
    for (const { name } of wheel.libraries) await place(join(part, name), join(folder, name));
    return true;
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

async function isInstalled(folder: string, { libraries }: ProviderWheel): Promise<boolean> {
  for (const { name, sha256 } of libraries) {
    const found = await sha256OfFile(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (found !== sha256) return false;
  }
  return true;
}

/** Finds out before a long download whether there is a place for what comes. */
async function checkPlace(
  folder: string,
  { bytes, libraries }: ProviderWheel,
  isDownload: boolean,
): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new FlexCacheError('permission_denied', `${folder} may not be written`, {
      cause: error,
      fix: 'run it as the user who installed onnxruntime-node',
    });
  }
  const unpacked = libraries.reduce((sum, library) => sum + library.bytes, 0);
  // pip has a download twice before it deletes the first copy.
  const needed = isDownload ? bytes + Math.max(bytes, unpacked) : unpacked;
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= needed) return;
  throw new FlexCacheError(
    'disk_full',
    `${folder} has ${megabytes(bavail * bsize)} free, and installing needs ${megabytes(needed)}`,
    { fix: 'free some space and run again' },
  );
}

async function checkWheel(file: string, wheel: ProviderWheel): Promise<void> {
  const found = await sha256OfFile(file).catch((error: Error) => {
    throw new InvalidInputError(
      'wheel',
      `${file} cannot be read: ${error.message}`,
      fetchElsewhere(wheel),
    );
  });
  if (found === wheel.sha256) return;
  throw new InvalidInputError(
    'wheel',
    `${file} is not the wheel of ${wheel.package} ${wheel.version} for Python ${wheel.python}: its sha256 is ${found}, expected ${wheel.sha256}`,
    fetchElsewhere(wheel),
  );
}

/** Returns the path of the wheel, whose checksum pip has compared. */
async function download(
  wheel: ProviderWheel,
  python: Omit<PythonOptions, 'failure'>,
): Promise<string> {
  const requirements = join(python.temporaryFolder, 'requirements.txt');
  const target = join(python.temporaryFolder, 'wheel');
  const requirement = `${wheel.package}==${wheel.version}`;
  await writeFile(requirements, `${requirement} --hash=sha256:${wheel.sha256}\n`);
  await runPython(
    [
      '-m',
      'pip',
      'download',
      '--no-input',
      '--no-cache-dir',
      '--no-deps',
      '--require-hashes',
      '--only-binary=:all:',
      `--python-version=${wheel.python}`,
      `--platform=${wheel.pipPlatform}`,
      `--dest=${target}`,
      `--requirement=${requirements}`,
    ],
    {
      ...python,
      failure: `pip cannot download ${requirement}`,
      otherwise: fetchElsewhere(wheel),
    },
  );
  return join(target, (await readdir(target))[0]!);
}

async function checkUnpacked(part: string, { libraries }: ProviderWheel): Promise<void> {
  for (const { name, sha256 } of libraries) {
    if ((await sha256OfFile(join(part, name))) === sha256) continue;
    throw new FlexCacheError('install_failed', `${name} was damaged while it was unpacked`, {
      fix: 'check the disk and run again',
    });
  }
}

async function place(from: string, to: string): Promise<void> {
  await using handle = await open(from);
  await handle.sync();
  await rename(from, to);
}

function fetchElsewhere(wheel: ProviderWheel): string {
  return (
    `fetch it on another machine (python3 -m pip download --no-deps --only-binary :all: --python-version ${wheel.python} ` +
    `--platform ${wheel.pipPlatform} ${wheel.package}==${wheel.version}) and give the file with --wheel`
  );
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / 1e6)} MB`;
}
