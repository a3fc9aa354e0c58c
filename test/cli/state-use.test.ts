import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTable } from '#local/open-table.ts';
import { inProcess } from './harness.ts';
import { stateOf, videoId, withEntries } from './state-fixture.ts';

const READING = [
  ['cache', 'ls'],
  ['cache', 'show', videoId(1)],
  ['keys', 'ls'],
  ['report', '--json'],
  ['evict', '--explain', videoId(1)],
  ['evict', '--dry-run'],
  ['sweep', '--dry-run'],
];

const CHANGING = [
  ['cache', 'pin', videoId(1)],
  ['keys', 'revoke', 'key_1'],
  ['tenants', 'set', 'local', '--concurrent-jobs', '1'],
  ['evict'],
  ['sweep'],
];

/** Everything below a folder with what a change of it would change. */
async function treeOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = [folder, ...entries.map(({ parentPath, name }) => join(parentPath, name))].sort();
  return Promise.all(
    paths.map(async (path) => {
      const { mtimeMs, ctimeMs, size, mode } = await lstat(path);
      return [path, mtimeMs, ctimeMs, size, mode].join(' ');
    }),
  );
}

test.each([...READING, ...CHANGING].map((args) => [args.join(' '), args]))(
  '%s refuses a state folder that is not there and makes none',
  async (_, args) => {
    const { flexcache, folder } = await inProcess();

    const { exitCode, stderr } = await flexcache(...args, '--state', 'mistyped');

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^flexcache: invalid_input: there is no state folder .*mistyped: /);
    expect(existsSync(join(folder, 'mistyped'))).toBe(false);
  },
);

test('commands that only look change nothing in the state folder, not for a moment', async () => {
  const { flexcache, folder } = await inProcess();
  await withEntries(folder, [{ prompt: 'a ball' }]);
  const before = await treeOf(stateOf(folder));

  for (const args of READING) {
    const { exitCode, stderr } = await flexcache(...args);
    expect([args, exitCode, exitCode === 0 ? '' : stderr]).toEqual([args, 0, '']);
  }
  await flexcache('doctor', '--deep');

  expect(await treeOf(stateOf(folder))).toEqual(before);
});

test('a damaged table is one error for every command, and doctor finds it', async () => {
  const { flexcache, folder } = await inProcess();
  await withEntries(folder, [{ prompt: 'a ball' }]);
  await (await openTable(stateOf(folder), 'change'))[Symbol.asyncDispose]();
  const table = join(stateOf(folder), 'table');
  const [name] = (await readdir(table)).filter((each) => each.endsWith('.ldb'));
  const content = await readFile(join(table, name!));
  content.writeUInt8(content.readUInt8(20) ^ 1, 20);
  await rm(join(table, name!));
  await writeFile(join(table, name!), content);

  const outcomes = [
    await flexcache('cache', 'ls'),
    await flexcache('cache', 'pin', videoId(1)),
    await flexcache('sweep'),
  ];
  const doctor = await flexcache('doctor', '--json');

  for (const { exitCode, stderr } of outcomes) {
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^flexcache: state_corrupt: the table in .* is damaged: .*\.ldb/);
  }
  expect(doctor.exitCode).toBe(1);
  expect(JSON.parse(doctor.stdout)).toMatchObject({ state: { error: { code: 'state_corrupt' } } });
});
