import { expect, test } from 'vitest';
import { openState } from '#local/check-state.ts';
import { inProcess } from './harness.ts';
import { stateOf, videoId, withEntries } from './state-fixture.ts';

test('sweep says what lost each other, mends it, and finds nothing new after', async () => {
  const { flexcache, folder } = await inProcess();
  await withEntries(folder, [{}, {}]);
  {
    await using state = await openState(stateOf(folder));
    await state.vectors.delete([videoId(1)]);
    await state.objects.delete(`latents/${videoId(2)}/1.fcl`);
  }

  const dryRun = await flexcache('sweep', '--dry-run');
  const { exitCode, stdout, stderr } = await flexcache('sweep');
  const again = await flexcache('sweep', '--json');

  expect(dryRun.stdout).toMatch(
    /^found {9}1 entries whose vectors were missing, would be put again$/m,
  );
  expect([exitCode, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^compared {6}2 entries and 1 objects$/m);
  expect(stdout).toMatch(/^found {9}1 entries whose vectors were missing, put again$/m);
  expect(stdout).toMatch(/^found {9}1 entries whose latent is gone, leave the cache$/m);
  expect(JSON.parse(again.stdout)).toMatchObject({
    isDryRun: false,
    isComplete: true,
    restoredVectors: 0,
    entriesWithoutLatent: 0,
  });
  await using state = await openState(stateOf(folder));
  expect((await state.table.getEntry(videoId(2)))!.state).toBe('EVICTING');
});

test('sweep has nothing to say of a cache that is sound', async () => {
  const { flexcache, folder } = await inProcess();
  await withEntries(folder, [{}]);

  const { stdout } = await flexcache('sweep');

  expect(stdout).toMatch(/^found {9}nothing that does not belong together$/m);
});
