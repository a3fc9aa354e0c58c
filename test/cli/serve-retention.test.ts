import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openState } from '#local/check-state.ts';
import { collect } from '../collect.ts';
import { inProcess, startProcess, type RunningProcess } from './harness.ts';
import { daysAgo, stateOf, videoId, withEntries } from './state-fixture.ts';

const FLEXCACHE = join(import.meta.dirname, '..', '..', 'cli', 'flexcache.mjs');
const TEST_TIMEOUT = 60_000;

/** Of a model so fast that there is nothing to save. */
const WORTHLESS = { gpuSeconds: 0.00012, createdAt: daysAgo(300) };

async function serve(folder: string, ...args: string[]): Promise<RunningProcess> {
  const running = startProcess(folder, ['serve', '--port', '0', ...args], {}, FLEXCACHE);
  onTestFinished(() => running.interrupt());
  await running.printed('serving');
  return running;
}

describe('flexcache serve', () => {
  test(
    'evicts and sweeps when it starts, and does what evict and sweep ask while it runs',
    async () => {
      const { flexcache, folder } = await inProcess();
      await withEntries(folder, [WORTHLESS, { ...WORTHLESS, pinnedAt: daysAgo(1) }]);
      const running = await serve(folder, '--evict-every', '1s', '--sweep-every', '1s');

      while (
        !(await flexcache('evict', '--explain', videoId(1))).stdout.includes('is being evicted')
      ) {
        await sleep(50);
      }
      const unpinned = await flexcache('cache', 'unpin', videoId(2));
      const evicted = await flexcache('evict');
      const swept = await flexcache('sweep', '--dry-run');
      running.interrupt();
      const { exitCode, stderr } = await running.ended;

      expect(unpinned.exitCode).toBe(0);
      expect(evicted.stdout).toMatch(/^evicted {7}1 entries /m);
      expect(evicted.stdout).toMatch(/^waiting {7}2 entries/m);
      expect(swept.stdout).toMatch(/^compared {6}2 entries/m);
      expect(exitCode).toBe(0);
      expect(stderr).not.toContain('failed');
      await using state = await openState(stateOf(folder));
      expect(await collect(state.vectors.list())).toEqual([]);
      const runs = await state.retention.listRuns(new Date().toISOString().slice(0, 10));
      expect(new Set(runs.map(({ kind }) => kind))).toEqual(new Set(['evict', 'sweep']));
    },
    TEST_TIMEOUT,
  );

  test(
    'lets everything be with --no-retention, but on demand, within its budget',
    async () => {
      const { flexcache, folder } = await inProcess();
      await withEntries(folder, [{ gpuSeconds: 12, createdAt: daysAgo(1) }]);
      const running = await serve(folder, '--no-retention', '--cache-budget', '0.000000001');

      const before = await flexcache('evict', '--explain', videoId(1));
      const evicted = await flexcache('evict', '--json');
      running.interrupt();
      await running.ended;

      expect(before.stdout).toContain('no eviction pass has run yet');
      expect(JSON.parse(evicted.stdout)).toMatchObject({
        evictionPass: { run: { verdicts: { budget: { count: 1 } } } },
      });
    },
    TEST_TIMEOUT,
  );

  test.each([
    [['--evict-every', '1 hour'], 'evict-every is "1 hour", not a time from 1s to 24d'],
    [['--sweep-every', '0s'], 'sweep-every is "0s"'],
    [['--sweep-every', '25d'], 'sweep-every is "25d"'],
    [['--cache-budget', 'all'], 'cache-budget "all" is not an amount of dollars'],
  ])('refuses %j', async (args, message) => {
    const { flexcache } = await inProcess();

    const { exitCode, stderr } = await flexcache('serve', ...args);

    expect(exitCode).toBe(2);
    expect(stderr).toContain(`flexcache: invalid_input: ${message}`);
  });
});
