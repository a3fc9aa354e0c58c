import { execFile } from 'node:child_process';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requireWritable, writeFileAtomically } from '#files/write-file-atomically.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const OLD = 'what was there';
const MODE = 0o640;

/** What the links lead to. */
const TARGETS = ['nothing', 'file', 'fifo', '/dev/null', '/dev/full', 'folder'] as const;
type Target = (typeof TARGETS)[number];

const BODIES = {
  text: (text: string) => text,
  bytes: (text: string) => Buffer.from(text),
  pieces: async function* (text: string) {
    for (const piece of text) yield piece;
  },
};

async function makeTarget(folder: string, target: Target): Promise<string> {
  const path = join(folder, 'target');
  switch (target) {
    case 'nothing':
      return path;
    case 'file':
      await writeFile(path, OLD);
      await chmod(path, MODE);
      return path;
    case 'fifo':
      await promisify(execFile)('mkfifo', [path]);
      return path;
    case 'folder':
      await mkdir(path);
      return path;
    default:
      return target;
  }
}

/** A chain of so many links, relative and absolute, that leads to the target. */
async function linkTo(folder: string, target: string, links: number): Promise<string> {
  let path = target;
  for (let link = 0; link < links; link++) {
    const next = join(folder, `link-${link}`);
    await symlink(link % 2 === 0 || !path.startsWith(folder) ? path : `./link-${link - 1}`, next);
    path = next;
  }
  return path;
}

async function kindsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const stats = await lstat(path);
      const to = stats.isSymbolicLink() ? await readlink(path) : '';
      return [name, stats.mode, stats.isFIFO(), stats.isFile(), to].join(' ');
    }),
  );
}

describe('writing to what a path names', () => {
  test('writes through links, FIFOs and devices and replaces none of them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...TARGETS),
        fc.nat({ max: 3 }),
        fc.constantFrom(...(['text', 'bytes', 'pieces'] as const)),
        fc.string({ minLength: 1, maxLength: 200 }),
        async (target, links, form, text) => {
          const folder = await temporaryFolder();
          const end = await makeTarget(folder, target);
          const path = await linkTo(folder, end, links);
          const before = await kindsIn(folder);
          const read = target === 'fifo' ? readFile(end, 'utf8') : null;

          const outcome = await writeFileAtomically(path, BODIES[form](text)).catch(
            (error: { code: string }) => error.code,
          );

          expect(outcome).toBe({ '/dev/full': 'ENOSPC', folder: 'EISDIR' }[target as string]);
          if (target !== 'nothing') expect(await kindsIn(folder)).toEqual(before);
          if (target === 'fifo') expect(await read).toBe(text);
          if (target === 'file' || target === 'nothing') {
            expect(await readFile(end, 'utf8')).toBe(text);
            expect((await lstat(end)).isFile()).toBe(true);
          }
          if (end.startsWith('/dev')) expect((await stat(end)).isCharacterDevice()).toBe(true);
          await rm(folder, { recursive: true });
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a write to a regular file that fails half-way leaves the old bytes and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 3 }), fc.array(fc.string()), async (links, pieces) => {
        const folder = await temporaryFolder();
        const end = await makeTarget(folder, 'file');
        const path = await linkTo(folder, end, links);
        const before = await kindsIn(folder);
        async function* failing() {
          yield* pieces;
          throw new Error('no more');
        }

        await expect(writeFileAtomically(path, failing())).rejects.toThrow('no more');

        expect(await readFile(end, 'utf8')).toBe(OLD);
        expect(await kindsIn(folder)).toEqual(before);
        await rm(folder, { recursive: true });
      }),
      { numRuns: 20 },
    );
  });

  test('a reader of a FIFO may stop early', async () => {
    const fifo = await makeTarget(await temporaryFolder(), 'fifo');
    const reading = promisify(execFile)('head', ['-c', '1', fifo]);

    await writeFileAtomically(fifo, 'x'.repeat(1 << 20));

    expect((await reading).stdout).toBe('x');
  });

  test('a name as long as the file system allows is written', async () => {
    const path = join(await temporaryFolder(), 'n'.repeat(255));

    await writeFileAtomically(path, 'text');

    expect(await readFile(path, 'utf8')).toBe('text');
  });

  test('a loop of links and too long a name are refused before the work', async () => {
    const folder = await temporaryFolder();
    await symlink(join(folder, 'two'), join(folder, 'one'));
    await symlink(join(folder, 'one'), join(folder, 'two'));

    await expect(requireWritable(join(folder, 'one'))).rejects.toMatchObject({ code: 'ELOOP' });
    await expect(requireWritable(join(folder, 'n'.repeat(256)))).rejects.toMatchObject({
      code: 'ENAMETOOLONG',
    });
  });
});
