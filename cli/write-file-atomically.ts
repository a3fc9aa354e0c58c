import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';

/** Writes the file whole or not at all; folders on the way are created. */
export async function writeFileAtomically(path: string, body: Uint8Array | string): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomUUID()}.part`);
  try {
    await mkdir(folder, { recursive: true });
    await using handle = await open(temporary, 'wx');
    await handle.writeFile(body);
    await handle.sync();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
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
      return new FlexCacheError('invalid_input', `${path} is in the way of the output`, {
        cause: error,
        field: 'out',
        fix: 'choose another place with --out',
      });
    default:
      return error;
  }
}
