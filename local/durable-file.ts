import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemErrorCode } from './file-errors.ts';

/** Writes a new file and waits until its bytes are on the disk. */
export async function writeDurably(path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx');
  try {
    for (const chunk of chunks) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Replaces a file: readers see the old bytes or the new ones, also after a crash. */
export async function replaceDurably(path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  const temporary = `${path}~${randomUUID()}`;
  try {
    await writeDurably(temporary, chunks);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes a rename, link or removal inside the folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  let folder;
  try {
    folder = await open(path, 'r');
    await folder.sync();
  } catch (error) {
    // A folder that another call has just removed needs no sync, and some systems sync no folders.
    if (!['ENOENT', 'EISDIR', 'EINVAL', 'EPERM'].includes(systemErrorCode(error))) throw error;
  } finally {
    await folder?.close();
  }
}

/**
 * Creates a folder and those above it; true when any was missing. Unlike a recursive `mkdir`, which
 * reports ENOENT on a read-only disk, it fails with the system's own reason.
 */
export async function createFolder(path: string): Promise<boolean> {
  try {
    return await createLastFolder(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT' || dirname(path) === path) throw error;
    await createFolder(dirname(path));
    await createLastFolder(path);
    return true;
  }
}

async function createLastFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST' && (await stat(path)).isDirectory()) return false;
    throw error;
  }
}

/** Creates a folder below `root`, durably. */
export async function createFolderDurably(root: string, folder: string): Promise<void> {
  if (!(await createFolder(folder))) return;
  for (let path = folder; path.length >= root.length; path = dirname(path)) {
    await syncFolder(path);
  }
}
