import { expect, test } from 'vitest';
import { DynamoPaceTable } from '#aws/dynamo-pace-table.ts';
import { MemoryDynamo } from '../memory-stores/memory-dynamo.ts';

test('the pace of a pool is its first video, and then follows the later ones', async () => {
  const pace = new DynamoPaceTable({ tableName: 'memory', client: new MemoryDynamo().client });
  const before = await pace.secondsPerVideo('interactive');
  await pace.record('interactive', 100);
  const first = await pace.secondsPerVideo('interactive');
  for (let video = 0; video < 50; video++) await pace.record('interactive', 10);

  expect(before).toBeNull();
  expect(first).toBe(100);
  expect(await pace.secondsPerVideo('interactive')).toBeCloseTo(10, 0);
  expect(await pace.secondsPerVideo('backfill')).toBeNull();
});
