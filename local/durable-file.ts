import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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

/** Creates a folder below `root`, durably. */
export async function createFolders(root: string, folder: string): Promise<void> {
  const created = await mkdir(folder, { recursive: true });
  if (created === undefined) return;
  for (let path = folder; path.length >= root.length; path = join(path, '..')) {
    await syncFolder(path);
  }
}
