import { expect, test } from 'vitest';
import { killBackfill } from '../../bench/killed-backfill.ts';
import { temporaryFolder } from './harness.ts';

test('a backfill killed at random moments loses nothing, doubles nothing and repeats nothing', async () => {
  // Prepare
  const folder = await temporaryFolder();
  const kills: string[] = [];

  // Act
  const faults = await killBackfill(folder, 4, 3, (line) => kills.push(line));

  // Assess
  expect(faults, kills.join('\n')).toEqual([]);
}, 240_000);
