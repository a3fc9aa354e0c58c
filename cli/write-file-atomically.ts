import { createHash, randomUUID } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import {
  access,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { isRunning, UNKNOWN_START_TIME } from '#local/process-identity.ts';

export type FileBody = Uint8Array | string | AsyncIterable<string>;

/** Where the bytes of a path go, its symbolic links followed. */
type Target =
  | { kind: 'new'; path: string }
  | { kind: 'file'; path: string; mode: number }
  /** A device, FIFO or socket: it is written through, never replaced. */
  | { kind: 'special'; path: string };

const PERMISSION_BITS = 0o7777;
/** A file name has 255 bytes on Linux: the part's name does not grow with its file's. */
const NAME_HASH_DIGITS = 16;

/**
 * Writes to what the path names. A regular file is written whole or not at all, and keeps its
 * permissions; symbolic links stay and their target is written; a device or FIFO gets the bytes as
 * they come. Folders on the way are created.
 *
 * @throws FlexCacheError `disk_full` or `permission_denied`; InvalidInputError when it cannot be a file.
 */
export async function writeFileAtomically(path: string, body: FileBody): Promise<void> {
  try {
    const target = await targetOf(path);
    if (target.kind === 'special') {
      // No O_CREAT, O_TRUNC: what is there by now is written, or nothing is.
      await using handle = await open(target.path, constants.O_WRONLY);
      await writeBody(handle, body).catch((error: NodeJS.ErrnoException) => {
        // Whoever reads may stop early (`| head`); that is no failure of ours.
        if (error.code !== 'EPIPE') throw error;
      });
    } else {
      await replaceFile(target, body);
    }
  } catch (error) {
    throw asFileError(error, path);
  }
}

async function replaceFile(
  target: Exclude<Target, { kind: 'special' }>,
  body: FileBody,
): Promise<void> {
  if (target.kind === 'file') await access(target.path, constants.W_OK);
  const folder = dirname(target.path);
  const prefix = partPrefix(target.path);
  const temporary = join(folder, `${prefix}${process.pid}.${randomUUID()}.part`);
  try {
    await mkdir(folder, { recursive: true });
    await removeLeftovers(folder, prefix);
    await using handle = await open(temporary, 'wx');
    if (target.kind === 'file') await handle.chmod(target.mode);
    await writeBody(handle, body);
    await handle.sync();
    await rename(temporary, target.path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

async function writeBody(handle: FileHandle, body: FileBody): Promise<void> {
  if (typeof body === 'string' || body instanceof Uint8Array) await handle.writeFile(body);
  else for await (const piece of body) await handle.appendFile(piece);
}

/** @throws the file system's error for a loop of links, or EISDIR for a folder. */
async function targetOf(path: string): Promise<Target> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (stats === null) {
    const link = await readlink(path).catch(() => null);
    if (link === null) return { kind: 'new', path };
    return targetOf(resolve(await realpath(dirname(path)), link));
  }
  if (stats.isDirectory())
    throw Object.assign(new Error(`${path} is a folder`), { code: 'EISDIR' });
  if (!stats.isFile()) return { kind: 'special', path };
  const file = await realpath(path).catch(() => null);
  // An open file without a name, as /dev/stdout may lead to, cannot be replaced.
  if (file === null) return { kind: 'special', path };
  return { kind: 'file', path: file, mode: stats.mode & PERMISSION_BITS };
}

function partPrefix(path: string): string {
  const hash = createHash('sha256').update(basename(path)).digest('hex');
  return `.flexcache-${hash.slice(0, NAME_HASH_DIGITS)}.`;
}

/**
 * Removes what killed processes left behind in a folder: files and folders named with this prefix, the id of
 * their process, a dot, anything, and `.part`. Those of processes that run stay.
 */
export async function removeLeftovers(folder: string, prefix: string): Promise<void> {
  for (const part of await readdir(folder)) {
    if (!part.startsWith(prefix) || !part.endsWith('.part')) continue;
    const pid = Number(part.slice(prefix.length).split('.')[0]);
    if (await isRunning({ pid, startTime: UNKNOWN_START_TIME })) continue;
    await rm(join(folder, part), { recursive: true, force: true });
  }
}

/**
 * Finds out before the work whether its result could be written to that file.
 * @throws FlexCacheError as `writeFileAtomically` would.
 */
export async function checkWritable(path: string): Promise<void> {
  try {
    const target = await targetOf(path);
    if (target.kind !== 'new') await access(target.path, constants.W_OK);
    if (target.kind !== 'special') await checkNearestFolder(dirname(target.path));
  } catch (error) {
    throw asFileError(error, path);
  }
}

/**
 * Finds out before the work whether new files could be written into that folder, which may not be
 * there yet.
 * @throws FlexCacheError when the nearest folder that exists is none, or may not be written.
 */
export async function checkFolderWritable(path: string): Promise<void> {
  try {
    await checkNearestFolder(path);
  } catch (error) {
    throw asFileError(error, path);
  }
}

async function checkNearestFolder(path: string): Promise<void> {
  let folder = path;
  while (!existsSync(folder)) folder = dirname(folder);
  await access(`${folder}/.`, constants.W_OK);
}

/** Gives the file system's refusals their stable code and a fix; passes on anything else. */
export function asFileError(error: unknown, path: string): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new FlexCacheError('disk_full', `no space left for ${path}`, {
        cause: error,
        fix: 'free some space and run again',
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new FlexCacheError('permission_denied', `${path} may not be written`, {
        cause: error,
        fix: 'choose another place with --out',
      });
    case 'EISDIR':
      return new InvalidInputError('out', `${path} is a folder`, 'name a file with --out');
    case 'ENOTDIR':
    case 'EEXIST':
      return new InvalidInputError(
        'out',
        `${path} cannot be made: a file or folder is in the way`,
        'choose another place with --out',
      );
    case 'ELOOP':
    case 'ENAMETOOLONG':
    case 'ENXIO':
      return new InvalidInputError(
        'out',
        `${path} cannot be written: ${(error as Error).message}`,
        'choose another place with --out',
      );
    default:
      return error;
  }
}
