import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceDurably } from './durable-file.ts';
import { fromFileSystem, systemErrorCode } from './file-errors.ts';

/** Lies in the state folder while a process holds it. */
const ENDPOINT_FILE = 'table-endpoint';
const ENDPOINT = /^(http:\/\/127\.0\.0\.1:\d{1,5})\n$/;

/**
 * Says where the table of a state folder can be reached while its holder works, for commands that need
 * the table alone. Returns how to take it back.
 */
export async function publishTableEndpoint(
  stateDirectory: string,
  endpoint: string,
): Promise<() => Promise<void>> {
  const path = join(stateDirectory, ENDPOINT_FILE);
  try {
    await replaceDurably(path, [Buffer.from(`${endpoint}\n`)]);
  } catch (error) {
    throw fromFileSystem(error, 'write down where the table is', path);
  }
  return () => rm(path, { force: true });
}

/** Null when nobody said. What a process that was killed has left may lead nowhere. */
export async function readTableEndpoint(stateDirectory: string): Promise<string | null> {
  try {
    const text = await readFile(join(stateDirectory, ENDPOINT_FILE), 'utf8');
    return ENDPOINT.exec(text)?.[1] ?? null;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw fromFileSystem(error, 'look where the table is', stateDirectory);
  }
}
