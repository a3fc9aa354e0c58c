import { describe, expect, test } from 'vitest';
import { TOMBSTONE_MILLISECONDS } from '#core/retention/retention.ts';
import { openState } from '#local/check-state.ts';
import { openRetention } from '#local/open-retention.ts';
import { inProcess } from './harness.ts';
import { DAY, daysAgo, stateOf, videoId, withEmptyState, withEntries } from './state-fixture.ts';

/** Pays its rent: an evaluation took a second. */
const YOUNG = { gpuSeconds: 12, createdAt: daysAgo(1) };
/** Of a model so fast that there is nothing to save any more. */
const OLD = { compatibilityKey: 'fast', gpuSeconds: 0.00012, createdAt: daysAgo(300) };

async function statesIn(folder: string): Promise<string[]> {
  await using state = await openState(stateOf(folder));
  const states = [];
  for (let number = 1; ; number++) {
    const entry = await state.table.getEntry(videoId(number));
    if (entry === null) return states;
    states.push(entry.state);
  }
}

describe('flexcache evict', () => {
  test('says what it evaluated, kept and evicted, with reasons and rents, and finds nothing new after', async () => {
    const { flexcache, folder } = await inProcess();
    await withEntries(folder, [YOUNG, OLD, { ...OLD, pinnedAt: daysAgo(2) }]);

    const dryRun = await flexcache('evict', '--dry-run');
    const afterDryRun = await statesIn(folder);
    const { stdout, stderr, exitCode } = await flexcache('evict');
    const again = await flexcache('evict');

    expect(dryRun.stdout).toMatch(/^would keep {4}2 entries .+\n.+1 save more than they cost\n/m);
    expect(dryRun.stdout).toMatch(/^would evict {3}1 entries .+\$0\.0+\d{3} of rent per month$/m);
    expect(afterDryRun).toEqual(['READY', 'READY', 'READY']);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^evaluated {5}3 entries with 300 bytes of latents$/m);
    expect(stdout).toMatch(/^kept {10}2 entries .+\$0\.0+\d{3} of rent per month$/m);
    expect(stdout).toMatch(/^ {14}1 are pinned$/m);
    expect(stdout).toMatch(/^evicted {7}1 entries .+\n {14}1 cost more than they save$/m);
    expect(stdout).toMatch(/^waiting {7}1 entries: .+ 30 minutes after/m);
    expect(await statesIn(folder)).toEqual(['READY', 'EVICTING', 'READY']);
    expect(again.stdout).toMatch(/^evicted {7}0 entries with 0 bytes of latents, \$0 of rent/m);
  });

  test('a budget evicts what pays, too, and --json says so in numbers', async () => {
    const { flexcache, folder } = await inProcess();
    const dear = { ...YOUNG, compatibilityKey: 'slow', gpuSeconds: 1200 };
    await withEntries(folder, [YOUNG, dear, YOUNG]);
    const rentOf = async (...args: string[]) => {
      const { stdout } = await flexcache('evict', '--json', ...args);
      return JSON.parse(stdout) as {
        evictionPass: { rentPerMonthUsd: number; run: { verdicts: unknown; counts: object } };
      };
    };
    const all = (await rentOf('--dry-run')).evictionPass.rentPerMonthUsd;

    const { evictionPass } = await rentOf('--budget', ((all * 2) / 5).toFixed(12));

    expect(evictionPass.run.verdicts).toMatchObject({ keep: { count: 1 }, budget: { count: 2 } });
    expect(evictionPass.rentPerMonthUsd).toBeLessThan((all * 2) / 5);
    expect(evictionPass.run.counts).toHaveProperty('evictedRentUsd');
    expect(await statesIn(folder)).toEqual(['EVICTING', 'READY', 'EVICTING']);
  });

  test('explains a verdict in numbers and changes nothing', async () => {
    const { flexcache, folder } = await inProcess();
    await withEntries(folder, [{ ...YOUNG, neighbours: 3 }, OLD]);

    const kept = await flexcache('evict', '--explain', videoId(1));
    const dropped = await flexcache('evict', '--explain', videoId(2));
    const json = await flexcache('evict', '--explain', videoId(1), '--json');

    expect(kept.stdout).toMatch(/^vid_0+1 is kept\n/);
    expect(kept.stdout).toMatch(/^use .+ last used 24 hours ago$/m);
    expect(kept.stdout).toMatch(/^a hit .+ evaluations over the next best entry, at 1 s each: \$/m);
    expect(kept.stdout).toMatch(/^rent .+ latent \$.+\(INTELLIGENT_TIERING\), vectors \$/m);
    expect(kept.stdout).toMatch(
      /^otherwise .+it is kept for years without a hit, or at a rent of \$/m,
    );
    expect(dropped.stdout).toMatch(/^vid_0+2 is evicted: it costs more than it saves\n/);
    expect(dropped.stdout).toMatch(/^otherwise .+hits per month would keep it$/m);
    expect(JSON.parse(json.stdout)).toMatchObject({
      verdict: 'keep',
      numbers: { secondsPerEvaluation: 1, neighbours: 3, hits: 0 },
    });
    expect(await statesIn(folder)).toEqual(['READY', 'READY']);
    await flexcache('evict');
    const leaving = await flexcache('evict', '--explain', videoId(2));
    expect(leaving.stdout).toMatch(/^vid_0+2 is being evicted\n/);
    expect(leaving.stdout).toMatch(/^latent .+is deleted after 20/m);
  });

  test.each([
    [['--budget', '0'], 2, 'invalid_input: budget 0 is not an amount of dollars above 0'],
    [['--budget', '-1'], 2, 'invalid_input: budget "-1" is not'],
    [['--budget', 'NaN'], 2, 'invalid_input: budget "NaN" is not'],
    [['--budget', '9999999'], 2, 'invalid_input: budget 9999999 is not'],
    [['--explain', 'vid_1'], 2, 'invalid_input: video id "vid_1" is not'],
    [['--explain', videoId(9)], 1, `not_found: entry ${videoId(9)} is not in the cache`],
  ])('refuses %j', async (args, expected, message) => {
    const { flexcache, folder } = await inProcess();
    await withEmptyState(folder);

    const { exitCode, stdout, stderr } = await flexcache('evict', ...args);

    expect([exitCode, stdout]).toEqual([expected, '']);
    expect(stderr).toContain(`flexcache: ${message}`);
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  test('what is leaving is forgotten in time, while its video stays', async () => {
    const { flexcache, folder } = await inProcess();
    const [entry] = await withEntries(folder, [OLD]);
    {
      await using state = await openState(stateOf(folder));
      await state.objects.put(entry!.videoKey, new Uint8Array(10));
      const left = Date.now() - DAY;
      await state.table.moveEntry(entry!.entryId, 'READY', 'EVICTING', left, { reason: 'rent' });
    }

    const latentsDeleted = await flexcache('evict');
    const tomb = await flexcache('evict', '--explain', videoId(1));

    expect(latentsDeleted.stdout).toMatch(/^deleted {7}1 latents, 100 bytes$/m);
    expect(tomb.stdout).toMatch(/^record .+is deleted after 20/m);
    await using state = await openState(stateOf(folder));
    expect(await state.objects.head(entry!.latentKey)).toBeNull();
    expect((await state.objects.get(entry!.videoKey)).byteLength).toBe(10);
    expect((await state.table.getEntry(videoId(1)))!.leavingAt).toBeLessThan(
      Date.now() + TOMBSTONE_MILLISECONDS,
    );
  });
});

describe('while another process holds the state folder', () => {
  test('verdicts are explained, entries listed and pinned by its table', async () => {
    const { flexcache, folder } = await inProcess();
    await withEntries(folder, [YOUNG, OLD]);
    await using _ = await openTableOf(folder);

    const explained = await flexcache('evict', '--explain', videoId(2));
    const listed = await flexcache('cache', 'ls', '--json');
    const pinned = await flexcache('cache', 'pin', videoId(2));
    const after = await flexcache('evict', '--explain', videoId(2));
    const unpinned = await flexcache('cache', 'unpin', videoId(2), '--json');

    expect(explained.stdout).toContain('is evicted: it costs more than it saves');
    expect(listed.stdout.trimEnd().split('\n')).toHaveLength(2);
    expect(pinned.stdout).toBe(`pinned ${videoId(2)}\n`);
    expect(after.stdout).toContain('is kept: it is pinned');
    expect(JSON.parse(unpinned.stdout)).toEqual({
      id: videoId(2),
      pinned: false,
      pinnedAt: null,
    });
  });

  test('an owner that does not run eviction is named', async () => {
    const { flexcache, folder } = await inProcess();
    await withEntries(folder, [OLD]);
    await using _ = await openRetention({ stateDirectory: stateOf(folder), dimensions: 4 });

    const { exitCode, stderr } = await flexcache('evict');

    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^flexcache: state_locked: .+process \d+/);
  });
});

async function openTableOf(folder: string): Promise<AsyncDisposable> {
  const { openTable } = await import('#local/open-table.ts');
  return openTable(stateOf(folder));
}
