import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openStateFolder } from '#local/state-folder.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { onSmallDisk } from './small-disk.ts';

const HOLDER = join(import.meta.dirname, 'hold-state.ts');

test('a new folder gets its layout and its marker', async () => {
  const directory = join(await temporaryFolder(), 'new', 'state');

  const state = await openStateFolder(directory);

  const names = await readdir(directory);
  expect(names.sort()).toEqual(['lock', 'objects', 'table', 'vectors', 'version']);
  expect(await readFile(join(directory, 'version'), 'utf8')).toBe('flexcache-state/3\n');
  expect(state.objects).toBe(join(directory, 'objects'));
  await state.release();
});

test('a folder that is held is refused, with the pid and a fix; released, it opens', async () => {
  const directory = await temporaryFolder();
  const state = await openStateFolder(directory);

  await expect(openStateFolder(directory)).rejects.toMatchObject({
    code: 'state_locked',
    transient: true,
    fix: expect.stringContaining(String(process.pid)),
  });

  await state.release();
  await state.release();
  await (await openStateFolder(directory)).release();
});

test('another process that holds the folder is named', async () => {
  const directory = await temporaryFolder();
  const holder = await startHolder(directory);

  const opening = openStateFolder(directory);

  await expect(opening).rejects.toThrow(`process ${holder.pid} uses the state folder`);
});

test('the lock of a killed process is taken over', async () => {
  const directory = await temporaryFolder();
  const holder = await startHolder(directory);
  holder.kill('SIGKILL');
  await once(holder, 'exit');

  const state = await openStateFolder(directory);

  expect(await readdir(join(directory, 'lock'))).toHaveLength(1);
  await state.release();
});

test.skipIf(process.platform !== 'linux')(
  'the lock of a dead process whose pid lives on is taken over',
  async () => {
    const directory = await temporaryFolder();
    await (await openStateFolder(directory)).release();
    const stale = `${process.ppid}.1.00000000-0000-4000-8000-000000000000`;
    await writeFile(join(directory, 'lock', stale), 'held');

    const state = await openStateFolder(directory);

    expect(await readdir(join(directory, 'lock'))).not.toContain(stale);
    await state.release();
  },
);

test('of many who take over a stale lock at the same time one gets it', async () => {
  const directory = await temporaryFolder();
  const dead = await startHolder(directory);
  dead.kill('SIGKILL');
  await once(dead, 'exit');

  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, () => openStateFolder(directory)),
  );

  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  expect(won).toHaveLength(1);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected')
      expect(outcome.reason).toMatchObject({ code: 'state_locked' });
  }
  await won[0]!.value.release();
});

test('of several processes at the same time never two are inside', async () => {
  const directory = await temporaryFolder();
  const log = join(await temporaryFolder(), 'log');
  const workers = Array.from({ length: 4 }, () =>
    spawn(process.execPath, [HOLDER, directory, log], { stdio: 'ignore' }),
  );

  await Promise.all(workers.map((worker) => once(worker, 'exit')));

  const lines = (await readFile(log, 'utf8')).trim().split('\n');
  expect(lines.length).toBeGreaterThanOrEqual(8);
  for (let index = 0; index < lines.length; index += 2) {
    expect(lines[index]).toBe(lines[index + 1]!.replace('leaves', 'enters'));
  }
});

test.each([
  [2, 'an older FlexCache: layout 2'],
  [4, 'a newer FlexCache: layout 4'],
])('a folder of layout %i is refused and left alone', async (layout, said) => {
  const directory = await temporaryFolder();
  await writeFile(join(directory, 'version'), `flexcache-state/${layout}\n`);

  const opening = openStateFolder(directory);

  await expect(opening).rejects.toThrow(`written by ${said}`);
  expect(await readdir(directory)).toEqual(['version']);
});

test('a folder of somebody else is refused and left alone', async () => {
  const directory = await temporaryFolder();
  await mkdir(join(directory, 'photos'));

  const opening = openStateFolder(directory);

  await expect(opening).rejects.toMatchObject({ code: 'invalid_input', field: 'state' });
  expect(await readdir(directory)).toEqual(['photos']);
});

test('a damaged marker is said so', async () => {
  const directory = await temporaryFolder();
  await writeFile(join(directory, 'version'), '');

  await expect(openStateFolder(directory)).rejects.toThrow('is damaged');
});

test('a file in the place of the folder is said so', async () => {
  const file = join(await temporaryFolder(), 'file');
  await writeFile(file, '');

  await expect(openStateFolder(file)).rejects.toMatchObject({ code: 'invalid_input' });
  await expect(openStateFolder(join(file, 'below'))).rejects.toMatchObject({
    code: 'invalid_input',
  });
});

test('a disk that takes no writes is said so', async () => {
  await onSmallDisk(async (disk) => {
    spawnSync('mount', ['-o', 'remount,ro', disk]);

    await expect(openStateFolder(join(disk, 'state'))).rejects.toMatchObject({
      code: 'permission_denied',
      fix: expect.any(String),
    });
  });
});

test('a full disk is said so, and the lock is not left behind', async () => {
  await onSmallDisk(async (disk) => {
    await mkdir(join(disk, 'state'));
    await writeFile(join(disk, 'ballast'), Buffer.alloc(2 << 20)).catch(() => undefined);

    await expect(openStateFolder(join(disk, 'state'))).rejects.toMatchObject({ code: 'disk_full' });

    expect(await readdir(join(disk, 'state', 'lock'))).toEqual([]);
  });
});

async function startHolder(directory: string): Promise<ChildProcess> {
  const holder = spawn(process.execPath, [HOLDER, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void holder.kill('SIGKILL'));
  await once(holder.stdout!, 'data');
  return holder;
}
