import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { serveCalls, callOwner } from '#local/owner-calls.ts';
import { temporaryFolder } from '../temporary-folder.ts';

test('a call is answered by the holder, with what it was given', async () => {
  const folder = await temporaryFolder();
  await using _ = await serveCalls(folder, { double: async (input) => [input, input] });

  expect(await callOwner(folder, 'double', { a: 1 })).toEqual({ value: [{ a: 1 }, { a: 1 }] });
});

test('an error of the holder is thrown here as it was thrown there', async () => {
  const folder = await temporaryFolder();
  await using _ = await serveCalls(folder, {
    refuse: () => Promise.reject(new InvalidInputError('budget', 'budget is -1', 'give more')),
  });

  const error = await callOwner(folder, 'refuse', {}).catch((thrown: unknown) => thrown);

  expect(error).toBeInstanceOf(FlexCacheError);
  expect(error).toMatchObject({
    code: 'invalid_input',
    message: 'budget is -1',
    field: 'budget',
    fix: 'give more',
  });
});

test('nobody answers where nobody holds the folder, after a kill, and what is not known', async () => {
  const folder = await temporaryFolder();
  expect(await callOwner(folder, 'evict', {})).toBeNull();

  {
    await using _ = await serveCalls(folder, {});
    expect(await callOwner(folder, 'evict', {})).toBeNull();
    expect(await callOwner(folder, 'toString', {})).toBeNull();
  }
  expect(await callOwner(folder, 'evict', {})).toBeNull();

  await writeFile(join(folder, 'holder-calls'), `http://127.0.0.1:1/${'0'.repeat(32)}\n`);
  expect(await callOwner(folder, 'evict', {})).toBeNull();
});

test('only who may read the state folder may call', async () => {
  const folder = await temporaryFolder();
  let calls = 0;
  await using _ = await serveCalls(folder, { evict: async () => ++calls });
  const path = join(folder, 'holder-calls');
  const address = (await readFile(path, 'utf8')).trim();
  const { origin } = new URL(address);

  const refused = await fetch(`${origin}/${'0'.repeat(32)}/evict`, { method: 'POST', body: '{}' });
  const read = await fetch(`${address}/evict`);

  expect([refused.status, read.status, calls]).toEqual([404, 404, 0]);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a call that the end of the holder cuts off says so', async () => {
  const folder = await temporaryFolder();
  const started = Promise.withResolvers<void>();
  const answering = await serveCalls(folder, {
    hang: () => {
      started.resolve();
      return new Promise(() => {});
    },
  });
  const call = callOwner(folder, 'hang', {});
  await started.promise;

  await answering[Symbol.asyncDispose]();

  await expect(call).rejects.toMatchObject({ code: 'cancelled' });
});
