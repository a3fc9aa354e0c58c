import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { CliContext, ExitCode } from '#cli/context.ts';
import { run } from '#cli/program.ts';
import { FakeCloud } from './fake-cloud.ts';
import type { FakeOptions } from './fake-cloud.ts';

export interface Outcome {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface InProcess {
  folder: string;
  /** Clouds in the order in which commands opened them. */
  clouds: FakeCloud[];
  /** What the next opened cloud is like, before the command gets it. */
  onOpen: (cloud: FakeCloud) => void;
  /** What stdout says of the terminal that it is. */
  terminal: { columns: number | undefined };
  interrupt(): void;
  flexcache(...args: string[]): Promise<Outcome & { exitCode: ExitCode }>;
}

/** A folder of the running test; it goes when the test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-cli-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Interrupts the next command when it begins its n-th video. */
export function interruptAtVideo(harness: InProcess, n: number): void {
  harness.onOpen = (cloud) => {
    harness.onOpen = () => undefined;
    const generate = cloud.generate.bind(cloud);
    cloud.generate = (input, onProgress) => {
      if (cloud.inputs.length === n - 1) harness.interrupt();
      return generate(input, onProgress);
    };
  };
}

/** The commands in this process, in a folder of their own, on the fake cloud. */
export async function inProcess(options: FakeOptions = {}): Promise<InProcess> {
  const listeners = new Set<() => void>();
  const self: InProcess = {
    folder: await temporaryFolder(),
    clouds: [],
    onOpen: () => undefined,
    terminal: { columns: undefined },
    interrupt: () => listeners.forEach((listener) => listener()),
    flexcache: async (...args) => {
      let stdout = '';
      let stderr = '';
      const context: CliContext = {
        open: async ({ stateDirectory }) => {
          const cloud = new FakeCloud(stateDirectory, options);
          self.clouds.push(cloud);
          self.onOpen(cloud);
          return cloud;
        },
        stdout: { write: (text) => (stdout += text) },
        stderr: { write: (text) => (stderr += text) },
        progress: null,
        columns: self.terminal.columns,
        workingDirectory: self.folder,
        onInterrupt: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      };
      const exitCode = await run(args, context);
      return { exitCode, stdout, stderr };
    },
  };
  return self;
}

export interface RunningProcess {
  interrupt(): void;
  ended: Promise<Outcome>;
  /** Resolves when stdout or stderr holds this text. */
  printed(text: string): Promise<void>;
}

/** The command in a process of its own, on the fake cloud. */
export function startProcess(
  folder: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  script = join(import.meta.dirname, 'flexcache-with-fake.ts'),
): RunningProcess {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const watchers = new Set<() => void>();
  const watch = (): void => watchers.forEach((watcher) => watcher());
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    watch();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    watch();
  });
  return {
    interrupt: () => child.kill('SIGINT'),
    ended: new Promise((resolve) => {
      child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
    }),
    printed: (text) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!`${stdout}${stderr}`.includes(text)) return;
          watchers.delete(check);
          resolve();
        };
        watchers.add(check);
        check();
      }),
  };
}
