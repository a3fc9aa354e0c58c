import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import {
  requireWritable,
  requireWritableFolder,
  writeFileAtomically,
  type FileBody,
} from '#files/write-file-atomically.ts';

/**
 * Writes a result, whole or not at all, as `writeFileAtomically` does.
 *
 * @throws FlexCacheError `disk_full` or `permission_denied`; InvalidInputError when it cannot be a file.
 */
export async function writeOutput(path: string, body: FileBody): Promise<void> {
  await asOutput(path, writeFileAtomically(path, body));
}

/**
 * Finds out before the work whether its result could be written to that file.
 *
 * @throws FlexCacheError as `writeOutput` would.
 */
export async function checkWritable(path: string): Promise<void> {
  await asOutput(path, requireWritable(path));
}

/**
 * Finds out before the work whether new files could be written into that folder, which may not be
 * there yet.
 *
 * @throws FlexCacheError when the nearest folder that exists is none, or may not be written.
 */
export async function checkFolderWritable(path: string): Promise<void> {
  await asOutput(path, requireWritableFolder(path));
}

async function asOutput(path: string, work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => {
    throw asFileError(error, path);
  });
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
