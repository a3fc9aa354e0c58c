import { readFile, readdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { inProcess, startProcess, temporaryFolder } from './harness.ts';

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

async function mp4Files(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.mp4')).sort();
}

test('backfill makes a video of every line and prints a table and totals', async () => {
  const { flexcache, folder } = await inProcess();
  await writeFile(join(folder, 'p.txt'), 'a ball\na star\na ring\n');

  const { exitCode, stdout, stderr } = await flexcache('backfill', 'p.txt');

  expect(exitCode).toBe(0);
  expect(stderr).toBe('');
  expect(await mp4Files(join(folder, 'flexcache-videos'))).toHaveLength(3);
  expect(stdout).toMatch(/a star +│ object +│ object of line 1 0\.93 +│ 0\.60 +│ +7\/12/);
  expect(stdout).toContain('3 completed (0 already there), 0 failed');
  expect(stdout).toContain('steps   31 run of 36');
});

test('a bad line is reported with its number and the rest goes on', async () => {
  const { flexcache, folder } = await inProcess();
  await writeFile(
    join(folder, 'p.jsonl'),
    '{"prompt":"a"}\nnonsense\n{"prompt":"explode"}\n{"prompt":"b"}\n',
  );

  const { exitCode, stdout, stderr } = await flexcache('backfill', 'p.jsonl', '--json');

  expect(exitCode).toBe(1);
  expect(stderr.split('\n')).toEqual([
    'flexcache: invalid_input: line 2: the line is not JSON: write {"prompt": "..."}',
    'flexcache: workflow_failed: line 3: the worker exploded',
    '',
  ]);
  const objects = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(objects.map(({ line, status }) => [line, status])).toEqual([
    [1, 'completed'],
    [2, 'failed'],
    [3, 'failed'],
    [4, 'completed'],
  ]);
});

test('a second run repeats nothing, says so, and restores a video file that is gone', async () => {
  const { flexcache, folder, clouds } = await inProcess();
  await writeFile(join(folder, 'p.csv'), 'prompt,seed\na,1\nb,\nb,\n');
  await flexcache('backfill', 'p.csv');
  const videos = join(folder, 'flexcache-videos');
  const before = await mp4Files(videos);
  await unlink(join(videos, before[0]!));

  const { exitCode, stdout } = await flexcache('backfill', 'p.csv');

  expect(exitCode).toBe(0);
  expect(stdout).toContain('3 completed (3 already there), 0 failed');
  expect(await mp4Files(videos)).toEqual(before);
  expect(clouds[1]!.videosMade).toBe(3);
  expect(clouds[1]!.inputs).toEqual([]);
});

test('equal lines are different videos, and lines may move without being made again', async () => {
  const { flexcache, folder, clouds } = await inProcess();
  const file = join(folder, 'p.txt');
  await writeFile(file, 'a\nb\na\n');
  await flexcache('backfill', 'p.txt');

  await writeFile(file, 'c\na\na\nb\na\n');
  const { stdout } = await flexcache('backfill', 'p.txt');

  expect(clouds[0]!.videosMade).toBe(3);
  expect(stdout).toContain('5 completed (3 already there)');
  const seeds = clouds[0]!.inputs.map(({ seed }) => seed);
  expect(new Set(seeds).size).toBe(3);
});

test('a line with n is as many lines: more of them make only what is missing', async () => {
  const { flexcache, folder, clouds } = await inProcess();
  const file = join(folder, 'p.jsonl');
  await writeFile(file, '{"prompt":"a","n":2}\n');
  await flexcache('backfill', 'p.jsonl');

  await writeFile(file, '{"prompt":"a","n":3}\n{"prompt":"b","n":11}\n');
  const { exitCode, stdout, stderr } = await flexcache('backfill', 'p.jsonl');

  expect(clouds[0]!.videosMade).toBe(2);
  expect(stdout).toContain('3 completed (2 already there), 1 failed');
  expect([exitCode, stderr]).toEqual([
    1,
    expect.stringMatching(/^flexcache: invalid_input: line 2: n 11 is not .+ at most 10 videos/),
  ]);
});

test('no more videos are in the making at once than --concurrency allows', async () => {
  const harness = await inProcess({ milliseconds: 10 });
  await writeFile(join(harness.folder, 'p.txt'), 'a\nb\nc\nd\ne\nf\n');
  let inTheMaking = 0;
  let most = 0;
  harness.onOpen = (cloud) => {
    const generate = cloud.generate.bind(cloud);
    cloud.generate = async (input) => {
      most = Math.max(most, ++inTheMaking);
      return generate(input).finally(() => (inTheMaking -= 1));
    };
  };

  const { exitCode } = await harness.flexcache('backfill', 'p.txt', '--concurrency', '3');

  expect(exitCode).toBe(0);
  expect(most).toBe(3);
});

test('when the cloud itself breaks, the backfill stops instead of failing every line', async () => {
  const { flexcache, folder, clouds } = await inProcess();
  await writeFile(join(folder, 'p.txt'), 'a\ncatastrophe\nb\nc\n');

  const { exitCode, stderr } = await flexcache('backfill', 'p.txt');

  expect(exitCode).toBe(1);
  expect(stderr).toBe('flexcache: disk_full: no space left: free some space\n');
  expect(clouds[0]!.inputs).toHaveLength(2);
});

test('SIGINT finishes the video in progress, says how to go on, and the next run goes on', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'p.txt'), 'a\nb\nc\nd\n');
  const environment = { FAKE_MILLISECONDS: '400' };

  const first = startProcess(folder, ['backfill', 'p.txt', '--json'], environment);
  await first.printed('"completed"');
  first.interrupt();
  const interrupted = await first.ended;
  const resumed = await startProcess(folder, ['backfill', 'p.txt', '--json'], environment).ended;

  expect(interrupted.exitCode).toBe(130);
  expect(interrupted.stderr).toMatch(
    /stopped after 2 lines: run the same command again to go on\n$/,
  );
  expect(resumed.exitCode).toBe(0);
  const objects = resumed.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(objects.map(({ alreadyThere }) => alreadyThere)).toEqual([true, true, false, false]);
  const written = await readFile(objects[3].video, 'utf8');
  expect(written).toBe(`mp4 of ${objects[3].id}`);
});
