import { dirname } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';
import { fromFileSystem } from './file-errors.ts';

/** LevelDB passes on what the system said as text only. */
const SYSTEM_CODES: readonly (readonly [said: string, code: string])[] = [
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['File too large', 'EFBIG'],
  ['Permission denied', 'EACCES'],
  ['Read-only file system', 'EROFS'],
];

/** How LevelDB begins its messages; the first names the file. */
const IO_ERROR = /^IO error: (.*\/[^/]+): [^:]+$/s;
const CORRUPTION = /^Corruption: /;
const DAMAGED = /^Corruption: |^(IO error|NotFound): .*(No such file|does not exist)/s;

/**
 * An error of the embedded table's database in this product's words.
 *
 * @param doing what was tried, as in "open the table"
 * @param path the database's folder
 */
export function fromDatabase(error: unknown, doing: string, path: string): FlexCacheError {
  if (error instanceof FlexCacheError) return error;
  const { code, message } = ((error as Error).cause ?? error) as Error & { code?: string };
  if (code === 'LEVEL_LOCKED') {
    return new FlexCacheError('state_locked', `another process uses the table in ${path}`, {
      cause: error,
      fix: 'stop the other process, or choose another folder with --state',
      transient: true,
    });
  }
  const systemCode = SYSTEM_CODES.find(([said]) => message.includes(said))?.[1] ?? code;
  if (systemCode === code && DAMAGED.test(message)) return tableDamaged(path, message, error);
  const refusal = Object.assign(new Error(message), { code: systemCode });
  return fromFileSystem(refusal, doing, path);
}

/** Dynalite throws what its database refuses while it runs, where nobody can catch it. */
export function fromUncaught(error: unknown): unknown {
  const message = error instanceof Error ? error.message : '';
  if (CORRUPTION.test(message)) {
    return new FlexCacheError('state_corrupt', `the table is damaged: ${message}`, {
      cause: error,
      field: 'state',
      fix: 'see with flexcache doctor where, and restore the state folder from a copy',
    });
  }
  const [, file] = IO_ERROR.exec(message) ?? [];
  return file === undefined ? error : fromDatabase(error, 'write the table', dirname(file));
}

export function tableDamaged(path: string, what: string, cause?: unknown): FlexCacheError {
  return new FlexCacheError('state_corrupt', `the table in ${path} is damaged: ${what}`, {
    cause,
    field: 'state',
    fix: `restore ${dirname(path)} from a copy, or begin anew with another folder with --state`,
  });
}
