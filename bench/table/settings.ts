import { cpus } from 'node:os';
import { execFileSync } from 'node:child_process';
import type { ExecutionProvider } from '#models/execution-provider.ts';

/** What the command was asked for. */
export interface Settings {
  model: string;
  provider: ExecutionProvider;
  requests: number;
  seed: number;
  /** Requests on which quality is compared with N=50. */
  measured: number;
  /** Decide what would be done and make no videos. */
  isPlanned: boolean;
  /** Requests of the tuning split. */
  tuning: number;
  batch: number;
  /** Rows at once. */
  jobs: number;
  threads: { intraOpThreads?: number };
  /** Of rows. */
  results: string;
  /** For what is only of use while the command runs. */
  work: string;
  /** Features of real clips. */
  realClips: string;
  /** Rows whose videos are shown. */
  pictures: readonly string[];
}

/** The processor, and the GPU where there is one. */
export function describeMachine(): string {
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor';
  const base = `${cpus().length} x ${processor}`;
  try {
    const gpus = execFileSync('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return `${gpus.trim().split('\n').join(', ')}; ${base}`;
  } catch {
    return base;
  }
}
