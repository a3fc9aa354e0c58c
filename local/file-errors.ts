import { FlexCacheError } from '#core/errors.ts';

/** What the system calls say when there is no room, and when they may not. */
const DISK_FULL: ReadonlySet<string> = new Set(['EDQUOT', 'EFBIG', 'ENOSPC']);
const PERMISSION_DENIED: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);

/** The code of a failed system call, such as `ENOENT`. */
export function systemErrorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/**
 * A failed system call in this product's words.
 *
 * @param doing what was tried, as in "store object a/b"
 * @param path the file or folder it was tried on
 */
export function fromFileSystem(error: unknown, doing: string, path: string): FlexCacheError {
  if (error instanceof FlexCacheError) return error;
  const code = systemErrorCode(error);
  if (DISK_FULL.has(code)) {
    return new FlexCacheError('disk_full', `could not ${doing}: no room left for ${path}`, {
      cause: error,
      fix: 'free space on this disk, or put the state folder on another one with --state',
    });
  }
  if (PERMISSION_DENIED.has(code)) {
    return new FlexCacheError('permission_denied', `could not ${doing}: ${path} is not writable`, {
      cause: error,
      fix: 'give this user read and write permission, or choose another folder with --state',
    });
  }
  const said = error instanceof Error ? error.message : String(error);
  return new FlexCacheError('internal', `could not ${doing} at ${path}: ${said}`, { cause: error });
}
