import { spawn } from 'node:child_process';
import { FlexCacheError } from '#core/errors.ts';

const INSTALL_PIP = 'install it (Debian and Ubuntu: apt install python3-pip) and run again';
const SEE_INDEX = 'see which index pip uses (python3 -m pip config list), and take another';

/** What is known of the failures of pip and Python, by what they write to stderr. */
const FAILURES = [
  { pattern: /No module named pip/, message: 'python3 has no pip', fix: INSTALL_PIP },
  {
    pattern: /DO NOT MATCH THE HASHES/,
    message: 'the package index has another file under this name, with a wrong checksum',
    fix: SEE_INDEX,
  },
  {
    pattern: /connection|timed out|timeout|name resolution|SSLError|ProxyError/i,
    message: 'the package index cannot be reached',
    fix: "check the network, and pip's index and proxy (python3 -m pip config list)",
  },
  {
    pattern: /No matching distribution found/,
    message: 'the package index does not have it',
    fix: SEE_INDEX,
  },
] as const;

const DISK_FULL = /No space left on device|Disk quota exceeded/;

export interface PythonOptions {
  /** Holds all its temporary files. */
  temporaryFolder: string;
  /** Whether what it prints goes to stderr of this process; else it goes nowhere. */
  isShown?: boolean;
  /** Kills it. */
  signal?: AbortSignal | undefined;
  /** What did not work if it fails, as in "pip cannot download it". */
  failure: string;
  /** What else the user can do if it fails. */
  otherwise?: string;
}

/**
 * Runs `python3` with these arguments to its end.
 *
 * @throws FlexCacheError `install_failed` or `disk_full`; the signal's `AbortError`, once the process has
 * ended.
 */
export async function runPython(args: readonly string[], options: PythonOptions): Promise<void> {
  const { temporaryFolder, signal, failure, otherwise } = options;
  signal?.throwIfAborted();
  const { code, stderr } = await ended(args, options);
  signal?.throwIfAborted();
  if (code === 0) return;
  if (DISK_FULL.test(stderr)) {
    throw new FlexCacheError('disk_full', `${failure}: no space left for ${temporaryFolder}`, {
      fix: 'free some space and run again',
    });
  }
  const known = FAILURES.find(({ pattern }) => pattern.test(stderr));
  const fixes = [known?.fix, otherwise].filter((fix) => fix !== undefined);
  throw new FlexCacheError(
    'install_failed',
    `${failure}: ${known?.message ?? stderr.trim().split('\n').at(-1)}`,
    fixes.length === 0 ? {} : { fix: fixes.join('; or ') },
  );
}

function ended(
  args: readonly string[],
  { temporaryFolder, isShown = false, signal }: PythonOptions,
): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve, reject) => {
    // A group of its own: what is found as python3 may be a script that starts it.
    const child = spawn('python3', args, {
      detached: true,
      env: { ...process.env, TMPDIR: temporaryFolder },
      stdio: ['ignore', isShown ? process.stderr.fd : 'ignore', 'pipe'],
    });
    const kill = (): void => {
      const isRunning = child.exitCode === null && child.signalCode === null;
      if (isRunning && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    signal?.addEventListener('abort', kill);
    let stderr = '';
    child.stderr!.on('data', (data: Buffer) => (stderr += data.toString()));
    child.on('error', (error) =>
      reject(
        new FlexCacheError('install_failed', `python3 cannot be started: ${error.message}`, {
          cause: error,
          fix: INSTALL_PIP,
        }),
      ),
    );
    child.on('close', (code) => {
      signal?.removeEventListener('abort', kill);
      resolve({ code, stderr });
    });
  });
}
