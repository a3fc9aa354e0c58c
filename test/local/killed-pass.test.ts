import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { openState } from '#local/check-state.ts';
import { openRetention } from '#local/open-retention.ts';
import { collect } from '../collect.ts';
import { storeEntry } from '../functions/retention-fixture.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const ENTRIES = 24;
const KILLS = 3;
/** Where a pass over so many entries is after each more of them, milliseconds. */
const STEP = 40;

const SCRIPT = join(import.meta.dirname, 'evict-in-process.ts');

/** Runs an eviction pass in a process of its own, and kills it that long after it has begun. */
async function killedAfter(folder: string, milliseconds: number): Promise<void> {
  const child = spawn(process.execPath, [SCRIPT, folder]);
  await once(child.stdout, 'data');
  await sleep(milliseconds);
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
}

test('a pass that is killed again and again ends as if it had run once, and finds nothing new after', async () => {
  const folder = await temporaryFolder();
  {
    await using state = await openState(folder);
    for (let index = 0; index < ENTRIES; index++) {
      const vectors = { whole: [Math.cos(index), Math.sin(index), 0, 0] };
      await storeEntry(
        state,
        {},
        {
          vectors: { ...vectors, object: null, background: null },
          // Nothing to save: all of it leaves.
          gpuSeconds: 0.00012,
          createdAt: new Date(Date.now() - 300 * 24 * 3_600_000).toISOString(),
        },
      );
    }
  }

  for (let kill = 0; kill < KILLS; kill++) {
    await killedAfter(folder, kill * STEP);
    await using state = await openState(folder);
    const indexed = new Set(await collect(state.vectors.list()));
    for await (const { entryId, state: reuseStats } of state.table.scanEntries()) {
      // A look-up that is led to one that leaves is told so by the table.
      if (reuseStats === 'READY') expect(indexed).toContain(entryId);
    }
  }
  await using retention = await openRetention({ stateDirectory: folder, dimensions: 4 });
  const last = await retention.evict({ isForced: true });
  const again = await retention.evict({ isForced: true });

  expect(last.evictionPass).toMatchObject({ outcome: 'completed', run: { isComplete: true } });
  expect(last.finishing.waiting).toBe(ENTRIES);
  expect(again.evictionPass).toMatchObject({ outcome: 'completed', run: { verdicts: {} } });
  expect(again.finishing).toMatchObject({ waiting: ENTRIES, latentsDeleted: 0 });
  await retention[Symbol.asyncDispose]();
  await using state = await openState(folder);
  expect(await collect(state.vectors.list())).toEqual([]);
}, 30_000);
