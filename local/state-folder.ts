import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';
import { tableDamaged } from './database-errors.ts';
import { createFolder, replaceDurably } from './durable-file.ts';
import { fromFileSystem, systemErrorCode } from './file-errors.ts';
import { copyState } from './state-copy.ts';
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

/**
 * What somebody opens a state folder for: to `read` it, which changes nothing and needs no right to
 * write; to `change` one that is there; or to `create` it where it is missing.
 */
export type StateUse = 'read' | 'change' | 'create';

export interface StateFolder {
  readonly directory: string;
  /** Of dynalite; a copy where it is only read, as are the vectors. */
  readonly table: string;
  readonly objects: string;
  readonly vectors: string;
  /** Lets the next process in. Idempotent. */
  release(): Promise<void>;
}

/**
 * Checks that the state folder is ours and holds it for this process, or, to read, copies what is
 * written to by opening it.
 *
 * @throws FlexCacheError `state_locked`, `state_corrupt`, `disk_full`, `permission_denied`, or `invalid_input` for a
 * folder of a newer or older FlexCache or of somebody else, or one that is missing and not to be created.
 * @example
 * const state = await openStateFolder('.flexcache');
 * const objects = await FileObjectStore.open(state.objects);
 * await state.release();
 */
export async function openStateFolder(
  stateDirectory: string,
  use: StateUse = 'create',
): Promise<StateFolder> {
  const directory = resolve(stateDirectory);
  const folders = {
    table: join(directory, 'table'),
    objects: join(directory, 'objects'),
    vectors: join(directory, 'vectors'),
  };
  try {
    if (use === 'read') {
      await requireMarker(directory);
      requireTable(folders);
      const copy = await copyState(directory, folders);
      const { table, vectors, remove } = copy;
      return { directory, table, objects: folders.objects, vectors, release: remove };
    }
    if (use === 'change') await requireMarker(directory);
    else await createFolder(directory);
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

/**
 * Whether there is a state folder; false for none, and for one with nothing in it.
 *
 * @throws FlexCacheError `invalid_input` for a folder of another FlexCache or of somebody else.
 */
export async function stateExists(directory: string): Promise<boolean> {
  return existsSync(directory) && (await checkMarker(directory));
}

async function requireMarker(directory: string): Promise<void> {
  if (await stateExists(directory)) return;
  throw new FlexCacheError('invalid_input', `there is no state folder ${directory}`, {
    field: 'state',
    fix: 'name that of an earlier run with --state, or make a video first',
  });
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
