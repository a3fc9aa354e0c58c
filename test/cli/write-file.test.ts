import { execFile } from 'node:child_process';
import { lstat, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { checkWritable } from '#cli/output-file.ts';
import { inProcess, temporaryFolder } from './harness.ts';
import { withEmptyState } from './state-fixture.ts';

const OLD = 'what was there';

test('a loop of links and too long a name are refused before the work', async () => {
  const folder = await temporaryFolder();
  await symlink(join(folder, 'two'), join(folder, 'one'));
  await symlink(join(folder, 'one'), join(folder, 'two'));

  for (const path of [join(folder, 'one'), join(folder, 'n'.repeat(256))]) {
    await expect(checkWritable(path)).rejects.toMatchObject({
      code: 'invalid_input',
      field: 'out',
    });
  }
});

test.each([
  ['generate', ['generate', 'a ball']],
  ['trace generate', ['trace', 'generate', '--requests', '3']],
  ['trace import', ['trace', 'import', 'prompts.txt']],
  ['report', ['report', '--format', 'csv']],
])('%s --out writes through a link and into a FIFO', async (_, args) => {
  const { flexcache, folder } = await inProcess();
  await writeFile(join(folder, 'prompts.txt'), 'a ball\n');
  await withEmptyState(folder);
  const file = join(folder, 'target');
  await writeFile(file, OLD);
  await symlink(file, join(folder, 'link'));
  await promisify(execFile)('mkfifo', [join(folder, 'fifo')]);

  const toLink = await flexcache(...args, '--out', 'link');
  const read = readFile(join(folder, 'fifo'), 'utf8');
  const toFifo = await flexcache(...args, '--out', 'fifo');

  expect([toLink, toFifo]).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
  expect((await lstat(join(folder, 'link'))).isSymbolicLink()).toBe(true);
  expect(await readFile(file, 'utf8')).not.toBe(OLD);
  expect((await lstat(join(folder, 'fifo'))).isFIFO()).toBe(true);
  expect((await read).length).toBeGreaterThan(0);
});
