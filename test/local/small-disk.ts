import { spawnSync } from 'node:child_process';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs the test in a file system of so many megabytes; without the right to mount one it is left out, aloud. */
export async function onSmallDisk(
  run: (disk: string) => Promise<void>,
  megabytes = 1,
): Promise<void> {
  const disk = await mkdtemp(join(tmpdir(), 'flexcache-disk-'));
  const mounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', disk]).status === 0;
  try {
    if (mounted) await run(disk);
    else console.warn('left out: a full disk needs the right to mount a small file system');
  } finally {
    if (mounted) spawnSync('umount', ['-l', disk]);
    await rmdir(disk);
  }
}
