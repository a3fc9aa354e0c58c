import { describe, expect, test } from 'vitest';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import { SimulatedPool } from './simulated-pool.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
/** As deployed unless told otherwise. */
const DEPLOYED = { maximumWorkers: 2, idleMinutes: 5 };

describe('a busy pool is no missing one', () => {
  test.each([
    [20, 600],
    [250, 100],
  ])('a burst of %i videos of %i s on two workers: all are made', async (videos, seconds) => {
    const pool = new SimulatedPool(DEPLOYED);
    for (let video = 0; video < videos; video++) await pool.ask(seconds);

    await pool.runOut(8 * HOUR);

    const waits = pool.jobs.map(({ endedAt, queuedAt }) => endedAt! - queuedAt);
    expect(pool.isDeserted).toBe(false);
    expect(pool.jobs.filter(({ endedAt }) => endedAt === null)).toEqual([]);
    expect(Math.max(...waits)).toBeLessThan(TASK_TIMEOUTS.interactive.totalSeconds);
  });

  test('a pool that gets no machine is given up after half an hour', async () => {
    const pool = new SimulatedPool({ ...DEPLOYED, hasMachines: false });
    await pool.ask(100);

    await pool.run(30 * MINUTE);
    const early = pool.isDeserted;
    await pool.run(2 * MINUTE);

    expect(early).toBe(false);
    expect(pool.isDeserted).toBe(true);
  });
});

describe('machines are there while they are needed', () => {
  test('an isolated video costs 13 machine minutes at most', async () => {
    const minutes: number[] = [];
    for (let phaseSeconds = 0; phaseSeconds < MINUTE; phaseSeconds += 5) {
      const pool = new SimulatedPool({ ...DEPLOYED, phaseSeconds });
      await pool.ask(100);
      await pool.runOut(HOUR);
      minutes.push(pool.machineSeconds / MINUTE);
    }

    const mean = minutes.reduce((sum, value) => sum + value) / minutes.length;
    expect(mean).toBeLessThanOrEqual(13);
    expect(Math.max(...minutes)).toBeLessThan(14);
  });

  test('after a burst the pool follows the trickle, and no video is given back', async () => {
    const pool = new SimulatedPool({ ...DEPLOYED, maximumWorkers: 20 });
    for (let video = 0; video < 40; video++) await pool.ask(100);
    const workers: number[] = [];
    for (let minute = 0; minute < 8 * 60; minute += 10) {
      await pool.run(10 * MINUTE);
      workers.push(pool.workers);
      await pool.ask(100);
    }
    await pool.runOut(HOUR);

    expect(pool.jobs.filter(({ endedAt }) => endedAt === null)).toEqual([]);
    expect(pool.machineSeconds / HOUR).toBeLessThan(12);
  });
});
