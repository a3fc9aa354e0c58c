import { spawn, spawnSync, type ChildProcess } from 'node:child_process';

/** How often memory is looked at. */
const SAMPLE_MS = 100;
const QUERY = ['--format=csv,noheader,nounits', '-i', process.env['CUDA_VISIBLE_DEVICES'] ?? '0'];

/** The first GPU that this process sees, by NVIDIA's tool; null where there is none. */
export function gpuName(): { name: string; driver: string; mebibytes: number } | null {
  const fields = '--query-gpu=name,driver_version,memory.total';
  const { status, stdout } = spawnSync('nvidia-smi', [fields, ...QUERY], { encoding: 'utf8' });
  if (status !== 0) return null;
  const [name = '', driver = '', mebibytes = ''] = stdout.trim().split(', ');
  return { name, driver, mebibytes: Number(mebibytes) };
}

/**
 * Watches how much memory of the GPU is in use, by all processes.
 *
 * @example
 * const memory = GpuMemory.watch();
 * memory.takePeak(); // MiB since it was last taken
 * memory.stop();
 */
export class GpuMemory {
  readonly #watcher: ChildProcess;
  #peak: number | null = null;

  private constructor(watcher: ChildProcess) {
    this.#watcher = watcher;
    watcher.stdout?.setEncoding('utf8').on('data', (text: string) => {
      for (const used of text.split('\n').filter(Boolean).map(Number)) {
        this.#peak = Math.max(this.#peak ?? 0, used);
      }
    });
    // Without the tool there is nothing to tell.
    watcher.on('error', () => {});
    watcher.unref();
  }

  static watch(): GpuMemory {
    const watched = ['--query-gpu=memory.used', ...QUERY, '-lms', String(SAMPLE_MS)];
    return new GpuMemory(spawn('nvidia-smi', watched, { stdio: ['ignore', 'pipe', 'ignore'] }));
  }

  /** The most MiB in use since the last call; null where there is no GPU of NVIDIA's. */
  takePeak(): number | null {
    const peak = this.#peak;
    this.#peak = null;
    return peak;
  }

  stop(): void {
    this.#watcher.kill();
  }
}
