import { randomUUID } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { access, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { isRunning, UNKNOWN_START_TIME } from '#local/process-identity.ts';

/** Writes the file whole or not at all, pieces as they come; folders on the way are created. */
export async function writeFileAtomically(
  path: string,
  body: Uint8Array | string | AsyncIterable<string>,
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${randomUUID()}.part`);
  try {
    await mkdir(folder, { recursive: true });
    await removeLeftovers(folder, basename(path));
    await using handle = await open(temporary, 'wx');
    if (typeof body === 'string' || body instanceof Uint8Array) await handle.writeFile(body);
    else for await (const piece of body) await handle.appendFile(piece);
    await handle.sync();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw asFileError(error, path);
  }
}

/** A process that was killed while it wrote this file left its part behind. */
async function removeLeftovers(folder: string, name: string): Promise<void> {
  for (const part of await readdir(folder)) {
    if (!part.startsWith(`.${name}.`) || !part.endsWith('.part')) continue;
    const pid = Number(part.slice(name.length + 2).split('.')[0]);
    if (await isRunning({ pid, startTime: UNKNOWN_START_TIME })) continue;
    await rm(join(folder, part), { force: true });
  }
}

/**
 * Finds out before the work whether its result could be written there.
 * @throws FlexCacheError when the nearest folder that exists is none, or may not be written.
 */
export async function checkWritable(path: string): Promise<void> {
  let folder = dirname(path);
  while (!existsSync(folder)) folder = dirname(folder);
  try {
    await access(`${folder}/.`, constants.W_OK);
  } catch (error) {
    throw asFileError(error, path);
  }
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
    case 'ENOTDIR':
    case 'EEXIST':
      return new InvalidInputError(
        'out',
        `${path} cannot be made: a file or folder is in the way`,
        'choose another place with --out',
      );
    default:
      return error;
  }
}
