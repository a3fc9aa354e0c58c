import { describe, expect, test } from 'vitest';
import { ConditionFailedError } from '#core/errors.ts';
import type { RetentionRun } from '#core/retention/retention-run.ts';
import type { RetentionTable } from '#ports/retention-table.ts';
import { unique } from '../aws/samples.ts';

export function sampleRun(changes: Partial<RetentionRun> = {}): RetentionRun {
  return {
    runId: unique('run-'),
    kind: 'evict',
    startedAt: '2026-11-22T03:00:00.000Z',
    endedAt: '2026-11-22T03:00:09.000Z',
    isDryRun: false,
    isComplete: true,
    holdings: {
      entries: 2,
      latents: { standard: { count: 2, bytes: 300, billedBytes: 300 } },
      monitoredLatents: 0,
      videoBytes: 1000,
      vectorBytes: 4000,
      itemBytes: 5000,
    },
    verdicts: { keep: { count: 2, bytes: 300 }, rent: { count: 1, bytes: 90 } },
    counts: { vectors: 4 },
    ...changes,
  };
}

/**
 * What every table of passes does.
 *
 * @param open one that no other test uses
 * @param isAtomic false for a server whose conditional writes are checked and done in two steps, as
 * moto's are: who wins a race is not tested on it.
 */
export function retentionTableContract(
  open: () => Promise<RetentionTable>,
  { isAtomic }: { isAtomic: boolean },
): void {
  describe('records of passes', () => {
    test('a day lists its own, in the order in which they began, each as it was', async () => {
      const table = await open();
      const second = sampleRun({ startedAt: '2026-11-22T04:00:00.000Z' });
      const first = sampleRun({ kind: 'sweep' });
      const next = sampleRun({ startedAt: '2026-11-23T00:00:00.000Z' });
      for (const run of [second, first, next]) await table.putRun(run);

      expect(await table.listRuns('2026-11-22')).toEqual([first, second]);
      expect(await table.listRuns('2026-11-23')).toEqual([next]);
      expect(await table.listRuns('2026-11-24')).toEqual([]);
    });

    test('recording one again writes it over', async () => {
      const table = await open();
      const run = sampleRun();
      await table.putRun(run);

      await table.putRun({ ...run, counts: { vectors: 5 } });

      expect(await table.listRuns('2026-11-22')).toEqual([{ ...run, counts: { vectors: 5 } }]);
    });
  });

  describe('the turn', () => {
    test('is one holder’s until it ends, is given back, or is over', async () => {
      const table = await open();

      expect(await table.acquireLease('a', 0, 100)).toBe(true);
      expect(await table.acquireLease('b', 50, 150)).toBe(false);
      expect(await table.acquireLease('a', 60, 120)).toBe(true);
      expect(await table.acquireLease('b', 119, 200)).toBe(false);
      expect(await table.acquireLease('b', 120, 200)).toBe(true);
      await table.releaseLease('a');
      expect(await table.acquireLease('c', 150, 250)).toBe(false);
      await table.releaseLease('b');
      await table.releaseLease('b');
      expect(await table.acquireLease('c', 150, 250)).toBe(true);
    });

    test.skipIf(!isAtomic)('of 10 who want it at the same time one gets it', async () => {
      const table = await open();

      const taken = await Promise.all(
        Array.from({ length: 10 }, (_, index) => table.acquireLease(`${index}`, 0, 100)),
      );

      expect(taken.filter(Boolean)).toHaveLength(1);
    });
  });

  describe('what a pass leaves behind', () => {
    test('is nothing at first, and then what its holder wrote, whatever the numbers', async () => {
      const table = await open();
      const state = { sums: [0.1, 2 ** 100, 1e-9], nested: { none: null, text: 'ä' } };

      const before = await table.getState();
      await table.acquireLease('a', 0, 100);
      const taken = await table.getState();
      await table.putState(state, 'a', 200);
      await table.releaseLease('a');

      expect([before, taken]).toEqual([null, null]);
      expect(await table.getState()).toEqual(state);
    });

    test('is written by who has the turn alone, and keeps it', async () => {
      const table = await open();
      await table.acquireLease('a', 0, 100);
      await table.putState({ by: 'a' }, 'a', 300);

      const isFree = await table.acquireLease('b', 200, 400);
      await table.acquireLease('b', 300, 400);
      const late = table.putState({ by: 'a again' }, 'a', 500);

      expect(isFree).toBe(false);
      await expect(late).rejects.toThrow(ConditionFailedError);
      expect(await table.getState()).toEqual({ by: 'a' });
    });

    test('has a size that an item holds', async () => {
      const table = await open();
      await table.acquireLease('a', 0, 100);

      const tooLarge = table.putState({ text: 'x'.repeat(300_001) }, 'a', 100);

      await expect(tooLarge).rejects.toMatchObject({ code: 'internal' });
      await table.putState({ text: 'x'.repeat(299_000) }, 'a', 100);
    });
  });
}
