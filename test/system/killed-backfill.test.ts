import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AT_ANY_TIME, AT_COMMIT, killBackfill } from '../../bench/killed-backfill.ts';
import { temporaryFolder } from './harness.ts';

test('a backfill killed at random moments loses nothing, doubles nothing and repeats nothing', async () => {
  // Prepare
  const said: string[] = [];

  // Act
  const faults = await killBackfill({
    ...AT_ANY_TIME,
    folder: await temporaryFolder(),
    seed: 4,
    kills: 3,
    say: (line) => said.push(line),
  });

  // Assess
  expect(faults, said.join('\n')).toEqual([]);
}, 240_000);

test('a backfill of 20 lines killed at commit time, after the first completion, has 20 videos once', async () => {
  // Prepare
  const said: string[] = [];

  // Act
  const faults = await killBackfill({
    ...AT_COMMIT,
    script: join(import.meta.dirname, 'faulty-fake-flexcache.ts'),
    folder: await temporaryFolder(),
    seed: 1,
    kills: 3,
    say: (line) => said.push(line),
  });

  // Assess
  expect(faults, said.join('\n')).toEqual([]);
  expect(said.filter((line) => / killed after [1-9]/.test(line)).length).toBeGreaterThan(0);
}, 240_000);
