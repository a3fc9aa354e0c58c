import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import { DynamoIdleTable } from '#aws/dynamo-idle-table.ts';
import type { IdleTail } from '#ports/idle-table.ts';
import { collect } from '../collect.ts';
import { unique } from './samples.ts';

const MACHINE = { instanceType: 'g6.xlarge', purchaseOption: 'spot' } as const;

describe('DynamoIdleTable', () => {
  let server: TableServer;
  let idle: DynamoIdleTable;
  beforeAll(async () => {
    server = await startTableServer();
    idle = new DynamoIdleTable(server.connection);
  });
  afterAll(() => server.close());

  const tail = (day: string, seconds: number, workerId = unique('w')): IdleTail => ({
    day,
    workerId,
    ...MACHINE,
    seconds,
  });

  test('lists the idle machines of a day, and of no other', async () => {
    const [one, two] = [tail('2026-11-22', 60), tail('2026-11-22', 0.5)];
    for (const each of [one, two, tail('2026-11-23', 9)]) await idle.addIdle(each);

    const listed = await idle.listIdle('2026-11-22');

    expect(listed).toHaveLength(2);
    expect(listed).toEqual(expect.arrayContaining([one, two]));
    expect(await idle.listIdle('2026-11-21')).toEqual([]);
  });

  test('a worker that says it again is counted once, as it said last', async () => {
    const first = tail('2026-10-01', 60);
    await idle.addIdle(first);
    await idle.addIdle(first);
    await idle.addIdle({ ...first, seconds: 61 });

    expect(await idle.listIdle('2026-10-01')).toEqual([{ ...first, seconds: 61 }]);
  });

  test('is in the way of no listing of jobs', async () => {
    await idle.addIdle(tail('2026-09-01', 1));

    expect(await collect(server.table.listDay('2026-09-01'))).toEqual([]);
  });

  test.each([
    ['day', { day: '2026-02-30' }],
    ['seconds', { seconds: -1 }],
    ['seconds', { seconds: NaN }],
    ['seconds', { seconds: 1e9 }],
  ])('refuses a %s that cannot be: %o', async (field, changes) => {
    const wrong = { ...tail('2026-08-01', 1), ...changes };

    await expect(idle.addIdle(wrong)).rejects.toMatchObject({ code: 'invalid_input', field });
  });

  test('one worker is the first on a machine, however often and however many ask at once', async () => {
    const machineId = unique('boot-');
    const claim = (workerId: string) => idle.claimMachine(machineId, workerId, 2_000_000_000);

    const claims = await Promise.all(['a', 'b', 'c'].map(claim));
    const first = ['a', 'b', 'c'][claims.indexOf(true)]!;

    expect(claims.filter(Boolean)).toHaveLength(1);
    expect(await claim(first)).toBe(true);
    expect(await claim('d')).toBe(false);
  });
});
