import { copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemErrorCode } from './file-errors.ts';
import { isRunning, UNKNOWN_START_TIME } from '#files/process-identity.ts';
import { refuseWhileHeld } from './state-lock.ts';

/** A state folder's table and vectors, for who reads and changes nothing. */
export interface StateCopy {
  readonly table: string;
  readonly vectors: string;
  /** Idempotent. */
  remove(): Promise<void>;
}

/** Of LevelDB, by which it finds everything else; whoever opens the table writes it anew. */
const POINTER = 'CURRENT';
/** Of LevelDB: nothing that is stored is in them. */
const NOT_COPIED: readonly string[] = ['LOCK', 'LOG', 'LOG.old'];
const TRIES = 5;
/** Followed by the id of the process that reads the copy. */
const COPY_PREFIX = 'flexcache-read-';

/**
 * Copies what a database has to be opened for to be read, as to open one is to write to it. Nobody holds
 * the folder meanwhile: when somebody came, the copy is made again.
 *
 * @throws FlexCacheError `state_locked` while a process holds the folder, or the file system's error.
 */
export async function copyState(
  directory: string,
  folders: { table: string; vectors: string },
): Promise<StateCopy> {
  await removeLeftovers();
  const copy = await mkdtemp(join(tmpdir(), `${COPY_PREFIX}${process.pid}-`));
  const remove = (): Promise<void> => rm(copy, { recursive: true, force: true });
  const table = join(copy, 'table');
  const vectors = join(copy, 'vectors');
  try {
    for (let attempt = 1; ; attempt++) {
      await refuseWhileHeld(directory);
      const isWhole =
        (await copyFolder(folders.table, table)) && (await copyFolder(folders.vectors, vectors));
      await refuseWhileHeld(directory);
      if ((isWhole && (await isSame(folders.table, table))) || attempt === TRIES) {
        return { table, vectors, remove };
      }
    }
  } catch (error) {
    await remove();
    throw error;
  }
}

/** A process that was killed while it read has left its copy behind. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(COPY_PREFIX)) continue;
    const pid = Number.parseInt(name.slice(COPY_PREFIX.length), 10);
    if (await isRunning({ pid, startTime: UNKNOWN_START_TIME })) continue;
    // Somebody else's may not be removed, and is no concern of this one.
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => undefined);
  }
}

/** False when files went while they were copied. A folder that is not there is an empty one. */
async function copyFolder(from: string, to: string): Promise<boolean> {
  await rm(to, { recursive: true, force: true });
  await mkdir(to);
  const names = await readdir(from).catch(orNothing);
  try {
    for (const name of names ?? []) {
      if (!NOT_COPIED.includes(name)) await copyFile(join(from, name), join(to, name));
    }
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function isSame(from: string, to: string): Promise<boolean> {
  const [original, copied] = await Promise.all(
    [from, to].map((folder) => readFile(join(folder, POINTER), 'utf8').catch(orNothing)),
  );
  return original === copied;
}

function orNothing(error: unknown): null {
  if (systemErrorCode(error) === 'ENOENT') return null;
  throw error;
}
