import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import {
  printedObjects,
  runFlexcache,
  startFlexcache,
  type RunningCommand,
} from '../../bench/run-flexcache.ts';
import { BALL, checked, problemsOf, STAR, temporaryFolder, writeList } from './harness.ts';

vi.setConfig({ testTimeout: 120_000 });

/** Waits until the process has opened its state and works. */
async function working(folder: string): Promise<void> {
  while (!existsSync(join(folder, '.flexcache', 'vectors', 'vectors.log'))) await sleep(50);
  // From there it is a moment until the request is submitted.
  await sleep(700);
}

async function claims(folder: string): Promise<string[]> {
  return readdir(join(folder, '.flexcache', 'lock'));
}

test('a second process is refused with the pid of the first, which loses nothing', async () => {
  const folder = await temporaryFolder();
  const LIST = [
    { prompt: BALL, seed: 1, steps: 8 },
    { prompt: BALL, seed: 2, steps: 8 },
  ];
  await writeList(folder, LIST);

  const first: RunningCommand = startFlexcache(folder, ['backfill', 'list.jsonl', '--json']);
  await working(folder);
  const second = await runFlexcache(folder, 'generate', STAR, '--steps', '1');
  const finished = await first.ended;

  expect(second.exitCode).toBe(1);
  expect(second.stdout).toBe('');
  expect(second.stderr).toMatch(
    new RegExp(`^flexcache: state_locked: process ${first.pid} uses [^\\n]+\\n$`),
  );
  expect(finished).toMatchObject({ exitCode: 0, stderr: '' });
  expect(printedObjects(finished).map(({ status }) => status)).toEqual(['completed', 'completed']);
  const state = await checked(join(folder, '.flexcache'));
  expect(state.findings).toEqual([]);
  expect(state.jobs).toHaveLength(2);
});

test('a killed process leaves its state to the next one', async () => {
  const folder = await temporaryFolder();
  const killed = startFlexcache(folder, ['generate', BALL, '--steps', '200']);
  await working(folder);
  killed.kill('SIGKILL');
  await killed.ended;

  const next = await runFlexcache(folder, 'generate', BALL, '--steps', '1', '--out', 'next.mp4');

  expect(next).toMatchObject({ exitCode: 0, stderr: '' });
  expect(await readdir(folder)).toEqual(['.flexcache', 'next.mp4']);
  const state = await checked(join(folder, '.flexcache'));
  expect(problemsOf(state)).toEqual([]);
  expect(state.jobs.map(({ status }) => status).sort()).toEqual(['completed', 'running']);
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s ends a video between two steps and leaves nothing of it',
  async (signal) => {
    const folder = await temporaryFolder();
    const running = startFlexcache(folder, ['generate', BALL, '--steps', '200', '--json']);
    await working(folder);

    running.kill(signal);
    const interrupted = await running.ended;
    const claimsLeft = await claims(folder);
    const again = await runFlexcache(folder, 'generate', BALL, '--steps', '1', '--out', 'a.mp4');

    expect(interrupted.exitCode).toBe(130);
    expect(interrupted.stderr).toMatch(/^flexcache: cancelled: [^\n]+\n$/);
    expect(printedObjects(interrupted)).toMatchObject([{ status: 'cancelled' }]);
    expect(claimsLeft).toEqual([]);
    expect(again).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await readdir(folder)).toEqual(['.flexcache', 'a.mp4']);
    const state = await checked(join(folder, '.flexcache'));
    expect(state.findings).toEqual([]);
    expect(state.entries).toHaveLength(1);
  },
);

test('SIGTERM lets a backfill finish the video in progress, and the rerun goes on from there', async () => {
  const folder = await temporaryFolder();
  await writeList(folder, [
    { prompt: BALL, seed: 1, steps: 10 },
    { prompt: STAR, seed: 1, steps: 10 },
    { prompt: BALL, seed: 1, steps: 10 },
  ]);
  const running = startFlexcache(folder, ['backfill', 'list.jsonl', '--json']);
  await working(folder);

  running.kill('SIGTERM');
  const stopped = await running.ended;
  const rerun = await runFlexcache(folder, 'backfill', 'list.jsonl', '--json');

  expect(stopped.exitCode).toBe(130);
  expect(stopped.stderr).toMatch(/run the same command again to go on\n$/);
  const done = printedObjects(stopped);
  expect(done.map(({ status }) => status)).toEqual(done.map(() => 'completed'));
  expect(done.length).toBeGreaterThan(0);
  expect(done.length).toBeLessThan(3);
  expect(rerun).toMatchObject({ exitCode: 0, stderr: '' });
  expect(printedObjects(rerun).map(({ alreadyThere }) => alreadyThere)).toEqual(
    [1, 2, 3].map((line) => line <= done.length),
  );
  expect((await checked(join(folder, '.flexcache'))).findings).toEqual([]);
});
