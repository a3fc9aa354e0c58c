import type { EmbeddedCloud, EmbeddedCloudOptions } from '#local/embedded-cloud.ts';
import type { ExecutionProvider } from '#models/execution-provider.ts';

export interface TextOutput {
  write(text: string): unknown;
}

/** What the commands touch of the world; tests hand in their own. */
export interface CliContext {
  open(options: EmbeddedCloudOptions): Promise<EmbeddedCloud>;
  /** Results only. */
  stdout: TextOutput;
  /** Errors, progress and remarks. */
  stderr: TextOutput;
  /** Where progress is drawn: stderr where it is a terminal, else null. */
  progress: NodeJS.WritableStream | null;
  /** Characters in a row of the terminal that stdout is; undefined where it is none. */
  columns: number | undefined;
  workingDirectory: string;
  /** Calls back at every SIGINT or SIGTERM; returns how to stop listening. */
  onInterrupt(listener: () => void): () => void;
}

export interface GlobalOptions {
  state: string;
  model: string;
  provider?: ExecutionProvider;
  /** Of commands that make videos. */
  batch?: string;
}

export const EXIT = { success: 0, failed: 1, usage: 2, interrupted: 130 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
