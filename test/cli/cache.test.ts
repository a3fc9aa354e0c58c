import { expect, test } from 'vitest';
import { inProcess } from './harness.ts';
import type { InProcess } from './harness.ts';

async function withOneEntry(): Promise<InProcess & { id: string }> {
  const harness = await inProcess();
  const { stdout } = await harness.flexcache('generate', 'a ball', '--seed', '1', '--json');
  return { ...harness, id: (JSON.parse(stdout) as { id: string }).id };
}

test('cache ls and show print the entry without its vectors', async () => {
  const { flexcache, id } = await withOneEntry();

  const list = await flexcache('cache', 'ls');
  const listed = await flexcache('cache', 'ls', '--json');
  const shown = await flexcache('cache', 'show', id, '--json');

  expect(list.stdout).toContain(id);
  expect(list.stdout).toContain('1 entries, 6 bytes of latents');
  expect(JSON.parse(listed.stdout)).toEqual(JSON.parse(shown.stdout));
  expect(JSON.parse(shown.stdout)).toMatchObject({ id, prompt: 'a ball', parts: 'whole object' });
  expect(shown.stdout).not.toContain('vectors');
});

test('cache rm deletes in the order in which no look-up finds a hole', async () => {
  const { flexcache, id, clouds } = await withOneEntry();

  const { exitCode } = await flexcache('cache', 'rm', id);

  expect(exitCode).toBe(0);
  expect(clouds.at(-1)!.deletions).toEqual(['EVICTING', 'vectors', 'latent', 'record']);
  expect((await flexcache('cache', 'ls', '--json')).stdout).toBe('');
});

test('cache rm leaves an entry that is in use and says until when', async () => {
  const harness = await inProcess();
  const made = await harness.flexcache('generate', 'a ball', '--json');
  const { id } = JSON.parse(made.stdout) as { id: string };
  harness.onOpen = (cloud) => cloud.lease(id, Date.parse('2999-01-01'));

  const { exitCode, stderr } = await harness.flexcache('cache', 'rm', id);

  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/^flexcache: condition_failed: entry vid_\w+ is in use until 2999-01-01/);
  expect(harness.clouds.at(-1)!.deletions).toEqual([]);
});

test('an entry that is not there is named as such', async () => {
  const { flexcache } = await inProcess();

  const { exitCode, stderr } = await flexcache('cache', 'rm', `vid_${'0'.repeat(26)}`);

  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/^flexcache: not_found: entry vid_0+ is not in the cache: .+\n$/);
});
