import { statSync, writeFileSync } from 'node:fs';

const BEAT_MILLISECONDS = 5000;

/** A worker that has not got on for this long is taken for dead: one network call takes less. */
const MAX_SILENCE_SECONDS = 300;

/** Loading a model of tens of gigabytes from a slow disk, of which nothing is heard before its end. */
export const MAX_LOAD_SECONDS = 1800;

/** A file older than this was left by a process that is gone or stuck. */
export const OLDEST_BEAT_SECONDS = 30;

/** Keeps a file young while the worker gets on. */
export interface HealthFile {
  /** The worker got on, and will not be heard of again for this long; five minutes unless said. */
  alive(longestSilenceSeconds?: number): void;
  stop(): void;
}

/**
 * Begins to touch the file: at once, and then by a timer while `alive` was called lately. A timer
 * alone would go on beating while the worker waits for a GPU that hangs.
 */
export function startHealthFile(
  path: string,
  longestSilenceSeconds: number = MAX_SILENCE_SECONDS,
  beatMilliseconds: number = BEAT_MILLISECONDS,
): HealthFile {
  let deadAt: number;
  const alive = (seconds: number = longestSilenceSeconds): void =>
    void (deadAt = performance.now() + seconds * 1000);
  const beat = (): void => {
    if (performance.now() > deadAt) return;
    writeFileSync(path, `${new Date().toISOString()}\n`);
  };
  alive();
  beat();
  const timer = setInterval(beat, beatMilliseconds).unref();
  return {
    alive,
    stop: () => clearInterval(timer),
  };
}

/** What is wrong with the worker that touches this file; null when it is well. */
export function healthProblem(path: string, now: number = Date.now()): string | null {
  let ageSeconds: number;
  try {
    ageSeconds = (now - statSync(path).mtimeMs) / 1000;
  } catch (error) {
    return `${path} cannot be read: ${(error as Error).message}`;
  }
  if (ageSeconds <= OLDEST_BEAT_SECONDS) return null;
  return `${path} was touched ${Math.round(ageSeconds)} seconds ago, expected ${OLDEST_BEAT_SECONDS} at most`;
}
