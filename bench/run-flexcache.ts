import { spawn } from 'node:child_process';
import { join } from 'node:path';

const LAUNCHER = join(import.meta.dirname, '..', 'cli', 'flexcache.mjs');

export interface Outcome {
  /** Null when a signal ended it. */
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface RunningCommand {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Outcome>;
  /** Resolves when stdout or stderr holds this text, or the process has ended. */
  printed(text: string): Promise<void>;
}

/**
 * Starts the command in a process of its own, as a user does, in this folder.
 *
 * @param script the command, or one that runs it on other models
 */
export function startFlexcache(
  folder: string,
  args: readonly string[],
  script = LAUNCHER,
): RunningCommand {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const watchers = new Set<() => void>();
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    for (const watcher of watchers) watcher();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    for (const watcher of watchers) watcher();
  });
  const ended = new Promise<Outcome>((resolve) => {
    child.on('close', (exitCode) => {
      resolve({ exitCode, stdout, stderr });
      for (const watcher of watchers) watcher();
    });
  });
  return {
    pid: child.pid!,
    kill: (signal) => child.kill(signal),
    ended,
    printed: (text) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (child.exitCode === null && !`${stdout}${stderr}`.includes(text)) return;
          watchers.delete(check);
          resolve();
        };
        watchers.add(check);
        check();
      }),
  };
}

export function runFlexcache(folder: string, ...args: string[]): Promise<Outcome> {
  return startFlexcache(folder, args).ended;
}

/** The objects that a command printed with `--json`. */
export function printedObjects<Printed = Record<string, unknown>>({ stdout }: Outcome): Printed[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Printed);
}
