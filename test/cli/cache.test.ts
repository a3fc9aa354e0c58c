import { expect, test } from 'vitest';
import { openState } from '#local/check-state.ts';
import { inProcess } from './harness.ts';
import type { InProcess } from './harness.ts';
import { daysAgo, stateOf, withEmptyState, withEntries } from './state-fixture.ts';

async function withOneEntry(): Promise<InProcess & { id: string }> {
  const harness = await inProcess();
  const { stdout } = await harness.flexcache('generate', 'a ball', '--seed', '1', '--json');
  return { ...harness, id: (JSON.parse(stdout) as { id: string }).id };
}

test('cache ls and show print the entries without their vectors, with what each is worth and costs', async () => {
  const { flexcache, folder } = await inProcess();
  const [hit] = await withEntries(folder, [
    { prompt: 'a ball', createdAt: daysAgo(2) },
    { prompt: 'a cube', createdAt: daysAgo(1), storageClass: 'GLACIER_IR', pinnedAt: daysAgo(1) },
  ]);
  await leaseNow(folder, hit!.entryId);

  const list = await flexcache('cache', 'ls', '--wide');
  const listed = await flexcache('cache', 'ls', '--json');
  const shown = await flexcache('cache', 'show', hit!.entryId, '--json');
  const text = await flexcache('cache', 'show', hit!.entryId);

  expect(list.stdout).toMatch(
    /vid_0+1 │ READY +│ INTELLIGENT_TIERING │ a ball │ whole │ +1 │ +9 │ +\$\d/,
  );
  expect(list.stdout).toMatch(/vid_0+2 │ READY, pinned │ GLACIER_IR +│ a cube/);
  expect(list.stdout).toContain('2 entries, 200 bytes of latents');
  const [first, second] = listed.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const { explanation, ...report } = JSON.parse(shown.stdout) as Record<string, unknown>;
  expect(report).toMatchObject({ id: first!['id'], hits: 1, prompt: 'a ball', parts: 'whole' });
  expect(first).toMatchObject({ storageClass: 'INTELLIGENT_TIERING', verdict: 'keep' });
  expect(first!['savedEvaluations']).toBeCloseTo(9, 3);
  expect(first!['worthPerMonth']).toBeGreaterThan(first!['rentPerMonth'] as number);
  expect(second).toMatchObject({ verdict: 'pinned', storageClass: 'GLACIER_IR' });
  expect(explanation).toMatchObject({ verdict: 'keep', numbers: { hits: 1 } });
  expect(shown.stdout).not.toContain('"whole":[');
  expect(text.stdout).toMatch(/^prompt +a ball$/m);
  expect(text.stdout).toMatch(/^a hit +saves /m);
});

test('a pinned entry stays until it is unpinned', async () => {
  const { flexcache, folder } = await inProcess();
  const [entry] = await withEntries(folder, [{}]);
  const { entryId } = entry!;

  const pinned = await flexcache('cache', 'pin', entryId, '--json');
  const again = await flexcache('cache', 'pin', entryId, '--json');
  const unpinned = await flexcache('cache', 'unpin', entryId);
  const shown = await flexcache('cache', 'show', entryId, '--json');

  expect(JSON.parse(pinned.stdout)).toMatchObject({ id: entryId, pinned: true });
  expect(again.stdout).toBe(pinned.stdout);
  expect(unpinned.stdout).toBe(`unpinned ${entryId}\n`);
  expect(JSON.parse(shown.stdout)).toMatchObject({ pinnedAt: null });
});

test('cache rm deletes in the order in which no look-up finds a hole', async () => {
  const { flexcache, id, clouds } = await withOneEntry();

  const { exitCode } = await flexcache('cache', 'rm', id);

  expect(exitCode).toBe(0);
  expect(clouds.at(-1)!.deletions).toEqual(['EVICTING', 'vectors', 'latent', 'record']);
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

test.each(['rm', 'show', 'pin', 'unpin'])(
  'cache %s names an entry that is not there',
  async (name) => {
    const { flexcache, folder } = await inProcess();
    await withEmptyState(folder);

    const { exitCode, stderr } = await flexcache('cache', name, `vid_${'0'.repeat(26)}`);

    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^flexcache: not_found: .+vid_0+ .*in the cache: .+\n$/);
  },
);

async function leaseNow(folder: string, entryId: string): Promise<void> {
  await using state = await openState(stateOf(folder));
  const now = Date.now();
  const lease = { entryId, holder: 'a request', now, leaseUntil: now + 1000, credit: 9 };
  await state.table.leaseEntry(lease);
}
