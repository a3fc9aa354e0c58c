import { expect, test } from 'vitest';
import { coldStartSeconds, type Boot } from '#denoiser/cold-start.ts';
import type { WorkerEvent } from '#denoiser/worker.ts';

const BOOT: Boot = { sinceBoot: 240.5, bootId: 'boot' };

/** Machines that were claimed, by whom first. */
function claims() {
  const claimed = new Map<string, string>();
  return {
    claimed,
    async claimMachine(machineId: string, workerId: string) {
      if (!claimed.has(machineId)) claimed.set(machineId, workerId);
      return claimed.get(machineId) === workerId;
    },
  };
}

/** The process of this test is younger than any machine of these. */
function isOfProcess(seconds: number): boolean {
  return seconds > 0 && seconds < process.uptime() + 0.001;
}

test('the first worker on a machine pays for its boot, the others for their own start', async () => {
  const machines = claims();
  const start = (workerId: string) => coldStartSeconds(machines, workerId, () => {}, BOOT);

  expect(await start('first')).toBe(240.5);
  expect(await start('second')).toSatisfy(isOfProcess);
  // It asks again after an answer that was lost.
  expect(await start('first')).toBe(240.5);
});

test.each<[string, Boot]>([
  ['was there for something else before', { ...BOOT, sinceBoot: 3600 }],
  ['does not name its boot', { ...BOOT, bootId: null }],
])('a machine that %s is claimed by nobody', async (_, boot) => {
  const machines = claims();

  expect(await coldStartSeconds(machines, 'first', () => {}, boot)).toSatisfy(isOfProcess);
  expect(machines.claimed.size).toBe(0);
});

test('a table that does not answer keeps no worker from its work', async () => {
  const events: WorkerEvent[] = [];
  const down = { claimMachine: () => Promise.reject(new Error('down')) };

  const seconds = await coldStartSeconds(down, 'first', (event) => void events.push(event), BOOT);

  expect(seconds).toSatisfy(isOfProcess);
  expect(events).toMatchObject([{ level: 'warn', event: 'machine_not_claimed', message: 'down' }]);
});
