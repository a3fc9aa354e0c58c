import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startProcess, temporaryFolder } from './harness.ts';
import type { Outcome } from './harness.ts';

const LAUNCHER = join(import.meta.dirname, '..', '..', 'cli', 'flexcache.mjs');

test('the command makes, repeats and lists a video on the embedded cloud and the shipped model', async () => {
  const folder = await temporaryFolder();
  const flexcache = (...args: string[]): Promise<Outcome> =>
    startProcess(folder, args, {}, LAUNCHER).ended;
  const request = {
    prompt: 'a small blue ball rising over the ocean at dawn',
    negative_prompt: `${'red star '.repeat(16)}snow`,
    seed: 5,
    steps: 2,
  };
  await writeFile(join(folder, 'p.jsonl'), `${JSON.stringify(request)}\n`.repeat(2));

  const made = await flexcache('backfill', 'p.jsonl', '--json');
  const again = await flexcache('backfill', 'p.jsonl', '--json');
  const listed = await flexcache('cache', 'ls', '--json');

  expect(made).toMatchObject({ exitCode: 0, stderr: '' });
  const [first, repeated] = made.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(first).toMatchObject({ cache: { hit: 'miss', t0: 1 }, steps: { run: 2, full: 2 } });
  const warnings = [{ code: 'negative_prompt_cut', words: ['snow'] }];
  expect([first, repeated]).toMatchObject([{ warnings }, { warnings }]);
  expect(repeated).toMatchObject({
    cache: { hit: 'exact', donors: [{ id: first.id }] },
    steps: { run: 0 },
  });
  expect(await readFile(repeated.video)).toEqual(await readFile(first.video));
  expect((await stat(first.video)).size).toBe(first.bytes.video);
  expect((await readFile(first.video)).toString('latin1', 4, 8)).toBe('ftyp');
  expect(again.exitCode).toBe(0);
  const known = again.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(known.map(({ id, alreadyThere }) => [id, alreadyThere])).toEqual([
    [first.id, true],
    [repeated.id, true],
  ]);
  expect(JSON.parse(listed.stdout)).toMatchObject({ id: first.id, state: 'READY', hits: 1 });
}, 120_000);
