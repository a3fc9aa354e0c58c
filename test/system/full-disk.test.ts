import { open, readdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { printedObjects, runFlexcache, type Outcome } from '../../bench/run-flexcache.ts';
import { onSmallDisk } from '../local/small-disk.ts';
import { BALL, checked, problemsOf, STAR, temporaryFolder, writeList } from './harness.ts';

vi.setConfig({ testTimeout: 180_000 });

const DISK_MEGABYTES = 8;
const FIRST = { prompt: BALL, seed: 1, steps: 2 };
const SECOND = { prompt: STAR, seed: 1, steps: 2 };

/** Takes up all room of a disk but for so many bytes; returns how to give it back. */
async function fill(disk: string, bytesLeft: number): Promise<() => Promise<void>> {
  const path = join(disk, 'filler');
  const file = await open(path, 'w');
  const block = Buffer.alloc(4096);
  let bytes = 0;
  try {
    for (;;) bytes += (await file.write(block)).bytesWritten;
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  } finally {
    await file.close();
  }
  await truncate(path, bytes - bytesLeft);
  return () => rm(path);
}

function expectFull({ exitCode, stderr }: Outcome, folder: string): void {
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/^flexcache: disk_full: [^\n]+: free [^\n]+\n$/);
  expect(stderr).toContain(folder);
}

function whichWereThere(outcome: Outcome): unknown {
  expect(outcome, outcome.stderr).toMatchObject({ exitCode: 0, stderr: '' });
  return printedObjects(outcome).map(({ alreadyThere }) => alreadyThere);
}

test('a state folder without room is said so wherever the room ends, and goes on when there is some', async () => {
  await onSmallDisk(async (disk) => {
    // Prepare
    const folder = await temporaryFolder();
    const state = join(disk, 'state');
    const backfill = (): Promise<Outcome> =>
      runFlexcache(folder, 'backfill', 'list.jsonl', '--state', state, '--json');
    await writeList(folder, [FIRST]);
    expect(whichWereThere(await backfill())).toEqual([false]);
    await writeList(folder, [FIRST, SECOND]);

    for (const bytesLeft of [0, 12 * 1024, 36 * 1024]) {
      // Act
      const free = await fill(disk, bytesLeft);
      const full = await backfill();
      await free();

      // Assess
      expectFull(full, disk);
      const after = await checked(state);
      expect(problemsOf(after)).toEqual([]);
      expect(after.entries).toHaveLength(1);
      expect(await readdir(join(state, 'objects', '~writing'))).toEqual([]);
    }
    expect(whichWereThere(await backfill())).toEqual([true, false]);
    expect(problemsOf(await checked(state))).toEqual([]);
  }, DISK_MEGABYTES);
});

test('an output folder without room is said so, and gets what is already made when there is some', async () => {
  await onSmallDisk(async (disk) => {
    const folder = await temporaryFolder();
    const out = join(disk, 'videos');
    const backfill = (): Promise<Outcome> =>
      runFlexcache(folder, 'backfill', 'list.jsonl', '--out', out, '--json');
    await writeList(folder, [FIRST]);
    await backfill();
    await writeList(folder, [FIRST, SECOND]);

    const free = await fill(disk, 0);
    const full = await backfill();
    const filesWhenFull = await readdir(out);
    await free();
    const jobsWhenFull = (await checked(join(folder, '.flexcache'))).jobs;
    const again = await backfill();

    expectFull(full, out);
    expect(filesWhenFull).toHaveLength(1);
    expect(whichWereThere(again)).toEqual([true, true]);
    expect(await readdir(out)).toHaveLength(2);
    expect((await checked(join(folder, '.flexcache'))).jobs).toEqual(jobsWhenFull);
  }, DISK_MEGABYTES);
});
