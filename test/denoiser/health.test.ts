import { spawnSync } from 'node:child_process';
import { rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { MAX_LOAD_SECONDS, OLDEST_BEAT_SECONDS, startHealthFile } from '#denoiser/health-file.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const HEALTH = new URL('../../containers/denoiser/health.ts', import.meta.url).pathname;

/** The health check as Docker runs it. */
function check(file: string): { code: number | null; said: string } {
  const { status, stderr } = spawnSync(process.execPath, [HEALTH], {
    env: { FLEXCACHE_HEALTH_FILE: file },
    encoding: 'utf8',
  });
  return { code: status, said: stderr };
}

async function grow(file: string, seconds: number): Promise<void> {
  const time = Date.now() / 1000 - seconds;
  await utimes(file, time, time);
}

describe('the health check', () => {
  it('passes while the file is young and fails when it has grown old', async () => {
    // Prepare
    const file = join(await temporaryFolder(), 'health');
    startHealthFile(file).stop();

    // Act
    const young = check(file);
    await grow(file, OLDEST_BEAT_SECONDS + 1);
    const old = check(file);

    // Assess
    expect(young).toEqual({ code: 0, said: '' });
    expect(old.code).toBe(1);
    expect(old.said).toContain(`expected ${OLDEST_BEAT_SECONDS} at most`);
  });

  it('fails when no worker ever began', async () => {
    const { code, said } = check(join(await temporaryFolder(), 'health'));

    expect(code).toBe(1);
    expect(said).toContain('ENOENT');
  });
});

describe('startHealthFile', () => {
  it('beats while the worker gets on, and no longer once it is silent', async () => {
    // Prepare
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    const file = join(await temporaryFolder(), 'health');
    const health = startHealthFile(file);
    const isTouchedWithin = async (seconds: number): Promise<boolean> => {
      await rm(file, { force: true });
      await vi.advanceTimersByTimeAsync(seconds * 1000);
      return stat(file).then(
        () => true,
        () => false,
      );
    };

    try {
      // Act & Assess: five minutes are the longest silence.
      expect(await isTouchedWithin(290)).toBe(true);
      health.alive();
      expect(await isTouchedWithin(290)).toBe(true);
      await vi.advanceTimersByTimeAsync(20_000);
      expect(await isTouchedWithin(600)).toBe(false);
      health.alive();
      expect(await isTouchedWithin(10)).toBe(true);
      health.stop();
      expect(await isTouchedWithin(10)).toBe(false);
    } finally {
      vi.useRealTimers();
    }
  });

  it('waits as long as a model takes to load when it is told to', async () => {
    // Prepare
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    const file = join(await temporaryFolder(), 'health');
    const health = startHealthFile(file);
    const isThereAfter = async (seconds: number): Promise<boolean> => {
      await vi.advanceTimersByTimeAsync((seconds - 10) * 1000);
      await rm(file, { force: true });
      await vi.advanceTimersByTimeAsync(10_000);
      return stat(file).then(
        () => true,
        () => false,
      );
    };

    try {
      // Act & Assess
      health.alive(MAX_LOAD_SECONDS);
      expect(await isThereAfter(MAX_LOAD_SECONDS - 20)).toBe(true);
      expect(await isThereAfter(60)).toBe(false);
      health.alive();
      expect(await isThereAfter(290)).toBe(true);
      expect(await isThereAfter(60)).toBe(false);
      health.stop();
    } finally {
      vi.useRealTimers();
    }
  });

  it('takes over the file of the worker before', async () => {
    const file = join(await temporaryFolder(), 'health');
    await writeFile(file, '');
    await grow(file, 3600);

    startHealthFile(file).stop();

    expect(check(file).code).toBe(0);
  });
});
