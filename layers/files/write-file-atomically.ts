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
import { isRunning, UNKNOWN_START_TIME } from './process-identity.ts';

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
 * @throws the file system's error, also for a path that cannot be a file.
 */
export async function writeFileAtomically(path: string, body: FileBody): Promise<void> {
  const target = await targetOf(path);
  if (target.kind !== 'special') return replaceFile(target, body);
  // No O_CREAT, O_TRUNC: what is there by now is written, or nothing is.
  await using handle = await open(target.path, constants.O_WRONLY);
  await writeBody(handle, body).catch((error: NodeJS.ErrnoException) => {
    // Whoever reads may stop early (`| head`); that is no failure of ours.
    if (error.code !== 'EPIPE') throw error;
  });
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
 *
 * @throws the file system's error, as `writeFileAtomically` would.
 */
export async function requireWritable(path: string): Promise<void> {
  const target = await targetOf(path);
  if (target.kind !== 'new') await access(target.path, constants.W_OK);
  if (target.kind !== 'special') await requireWritableFolder(dirname(target.path));
}

/**
 * Finds out before the work whether new files could be written into that folder, which may not be
 * there yet.
 *
 * @throws the file system's error when the nearest folder that exists is none, or may not be written.
 */
export async function requireWritableFolder(path: string): Promise<void> {
  let folder = path;
  while (!existsSync(folder)) folder = dirname(folder);
  await access(`${folder}/.`, constants.W_OK);
}
