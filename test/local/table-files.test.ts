import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fromUncaught } from '#local/database-errors.ts';
import { openTable } from '#local/open-table.ts';
import { startTableServer } from '#local/table-server.ts';
import { withEntries, stateOf } from '../cli/state-fixture.ts';

/** A table whose entries are in a file that LevelDB has finished, not in its journal alone. */
let folder: string;
let table: string;
let file: string;
let sound: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flexcache-table-'));
  const prompts = Array.from({ length: 12 }, (_, index) => ({ prompt: `a ball, number ${index}` }));
  await withEntries(folder, prompts);
  // What is in the journal goes into a file when the table is opened again.
  await (await openTable(stateOf(folder), 'change'))[Symbol.asyncDispose]();
  table = join(stateOf(folder), 'table');
  const [name] = (await readdir(table)).filter((each) => each.endsWith('.ldb'));
  file = join(table, name!);
  sound = await readFile(file);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function open(path: string): Promise<string> {
  try {
    await (await startTableServer({ path })).close();
    return 'opened';
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    expect(message).toContain('.ldb');
    return code;
  }
}

/** Opens a copy of the table with another file in it. */
async function openWith(content: Buffer | null): Promise<string> {
  const copy = await mkdtemp(join(folder, 'copy-'));
  await cp(table, copy, { recursive: true });
  const path = join(copy, file.slice(table.length));
  if (content === null) await rm(path);
  else await writeFile(path, content);
  const outcome = await open(copy);
  await rm(copy, { recursive: true });
  return outcome;
}

describe('a damaged file of the table', () => {
  test('a sound one opens', async () => {
    expect(await openWith(sound)).toBe('opened');
  });

  test('a byte that was changed anywhere, or bytes that are gone, is one error that names the file', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: sound.length - 1 }),
        fc.oneof(
          { weight: 4, arbitrary: fc.integer({ min: 1, max: 255 }) },
          { weight: 1, arbitrary: fc.constant('cut' as const) },
        ),
        async (at, change) => {
          const damaged = Buffer.from(sound.subarray(0, change === 'cut' ? at : sound.length));
          if (change !== 'cut') damaged.writeUInt8(sound.readUInt8(at) ^ change, at);

          expect(await openWith(damaged)).toBe('state_corrupt');
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a file that is gone is the same error', async () => {
    expect(await openWith(null)).toBe('state_corrupt');
  });
});

test('damage that comes while the table is open is the same error', () => {
  // LevelDB's words; dynalite throws them where nobody can catch them.
  const thrown = new Error('Corruption: corrupted compressed block contents');

  expect(fromUncaught(thrown)).toMatchObject({
    code: 'state_corrupt',
    field: 'state',
    fix: expect.stringContaining('flexcache doctor'),
  });
});

test('a copy that a killed process has left behind goes', async () => {
  const NEVER_A_PROCESS = 2 ** 22 + 1;
  const left = await mkdtemp(join(tmpdir(), `flexcache-read-${NEVER_A_PROCESS}-`));

  await using _ = await openTable(stateOf(folder), 'read');

  expect(existsSync(left)).toBe(false);
});

test('after a change of the original a copy that was read before stays as it was', async () => {
  await using read = await openTable(stateOf(folder), 'read');
  const [name] = (await readdir(table)).filter((each) => each.endsWith('.ldb'));
  await truncate(join(table, name!), 0);
  try {
    let entries = 0;
    for await (const _ of read.table.scanEntries()) entries += 1;
    expect(entries).toBe(12);
  } finally {
    await writeFile(join(table, name!), sound);
  }
});
