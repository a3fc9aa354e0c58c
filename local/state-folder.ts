import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';
import { tableDamaged } from './database-errors.ts';
import { createFolder, replaceDurably } from './durable-file.ts';
import { fromFileSystem, systemErrorCode } from './file-errors.ts';
import { LOG_FILE } from './vector-log.ts';
import { takeStateLock } from './state-lock.ts';

/** Layout of the folder; raised when what is stored changes so that the other one cannot read it. */
const LAYOUT = 3;
/** By which LevelDB finds everything else; it is there before the vector index is. */
const DATABASE_POINTER = 'CURRENT';
const MARKER_FILE = 'version';
const MARKER = /^flexcache-state\/(\d+)\n$/;
/** What the folder may contain before it carries a marker: the lock, and a marker half-written. */
const BEFORE_MARKER = /^(lock$|version~)/;

export interface StateFolder {
  readonly directory: string;
  /** Of dynalite. */
  readonly table: string;
  readonly objects: string;
  readonly vectors: string;
  /** Lets the next process in. Idempotent. */
  release(): Promise<void>;
}

/**
 * Creates the state folder when missing, checks that it is ours, and holds it for this process.
 *
 * @throws FlexCacheError `state_locked`, `state_corrupt`, `disk_full`, `permission_denied`, or `invalid_input` for a
 * folder of a newer or older FlexCache or of somebody else.
 * @example
 * const state = await openStateFolder('.flexcache');
 * const objects = await FileObjectStore.open(state.objects);
 * await state.release();
 */
export async function openStateFolder(stateDirectory: string): Promise<StateFolder> {
  const directory = resolve(stateDirectory);
  const folders = {
    table: join(directory, 'table'),
    objects: join(directory, 'objects'),
    vectors: join(directory, 'vectors'),
  };
  try {
    await createFolder(directory);
    // Before the lock puts a first file into a folder that is not ours.
    await checkMarker(directory);
    const lock = await takeStateLock(directory);
    try {
      if (!(await checkMarker(directory))) {
        const marker = Buffer.from(`flexcache-state/${LAYOUT}\n`);
        await replaceDurably(join(directory, MARKER_FILE), [marker]);
      }
      requireTable(folders);
      for (const folder of Object.values(folders)) await createFolder(folder);
    } catch (error) {
      await lock.release();
      throw error;
    }
    return { directory, ...folders, release: () => lock.release() };
  } catch (error) {
    if (['EEXIST', 'ENOTDIR'].includes(systemErrorCode(error))) {
      throw new FlexCacheError('invalid_input', `${directory} is not a folder`, {
        cause: error,
        field: 'state',
        fix: 'choose another folder with --state',
      });
    }
    throw fromFileSystem(error, 'open the state folder', directory);
  }
}

/** A full index without a table is a table lost: going on would make every video again. */
function requireTable({ table, vectors }: Pick<StateFolder, 'table' | 'vectors'>): void {
  const pointer = join(table, DATABASE_POINTER);
  if (existsSync(pointer) || !existsSync(join(vectors, LOG_FILE))) return;
  throw tableDamaged(table, `${pointer} is not there`);
}

/** Whether the folder carries our marker; false for one that is new. */
async function checkMarker(directory: string): Promise<boolean> {
  const marker = await readMarker(directory);
  if (marker === null) {
    const strangers = (await readdir(directory)).filter((name) => !BEFORE_MARKER.test(name));
    if (strangers.length === 0) return false;
    // Somebody may have written the marker between the two looks.
    if ((await readMarker(directory)) !== null) return checkMarker(directory);
    throw new FlexCacheError(
      'invalid_input',
      `${directory} is no state folder: it has no ${MARKER_FILE} file but contains ${strangers[0]}`,
      { field: 'state', fix: 'choose an empty or new folder with --state' },
    );
  }
  const [, layout] = MARKER.exec(marker) ?? [];
  if (layout === undefined) {
    throw new FlexCacheError(
      'invalid_input',
      `${join(directory, MARKER_FILE)} is damaged: expected flexcache-state/${LAYOUT}`,
      { field: 'state', fix: 'restore the file, or choose another folder with --state' },
    );
  }
  if (Number(layout) > LAYOUT) {
    throw new FlexCacheError(
      'invalid_input',
      `${directory} was written by a newer FlexCache: layout ${layout}, this one knows ${LAYOUT}`,
      { field: 'state', fix: 'use the newer FlexCache, or choose another folder with --state' },
    );
  }
  if (Number(layout) < LAYOUT) {
    throw new FlexCacheError(
      'invalid_input',
      `${directory} was written by an older FlexCache: layout ${layout}, this one knows ${LAYOUT}`,
      { field: 'state', fix: 'choose another folder with --state: its videos are made anew there' },
    );
  }
  return true;
}

async function readMarker(directory: string): Promise<string | null> {
  try {
    return await readFile(join(directory, MARKER_FILE), 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
