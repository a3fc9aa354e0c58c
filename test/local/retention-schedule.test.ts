import { setImmediate as nextTick } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { TelemetryEvent } from '#functions/shared/telemetry.ts';
import { RetentionSchedule, type ScheduledPass } from '#local/retention-schedule.ts';

const HOUR = 3_600_000;
const START = Date.parse('2026-11-22T00:00:00Z');

beforeEach(() => {
  vi.useFakeTimers({ now: START, toFake: ['setTimeout', 'clearTimeout', 'Date'] });
});
afterEach(() => vi.useRealTimers());

function recording(changes: Partial<ScheduledPass> = {}): ScheduledPass & { runs: number[] } {
  const runs: number[] = [];
  return {
    name: 'evict',
    everyMilliseconds: HOUR,
    lastStartedAt: () => Promise.resolve(null),
    run: async () => void runs.push((Date.now() - START) / HOUR),
    ...changes,
    runs,
  };
}

async function pass(hours: number): Promise<void> {
  await nextTick();
  await vi.advanceTimersByTimeAsync(hours * HOUR);
  await nextTick();
}

test('a pass that never ran, or is overdue, runs at once, and then at its times', async () => {
  const never = recording();
  const overdue = recording({ lastStartedAt: async () => START - 5 * HOUR });
  const recent = recording({ lastStartedAt: async () => START - 0.25 * HOUR });
  await using _ = new RetentionSchedule({ passes: [never, overdue, recent], log: () => {} });

  await pass(2.5);

  expect(never.runs).toEqual([0, 1, 2]);
  expect(overdue.runs).toEqual([0, 1, 2]);
  expect(recent.runs).toEqual([0.75, 1.75]);
});

test('a pass that fails is logged and tried again at its next turn; others go on', async () => {
  const events: TelemetryEvent[] = [];
  let tries = 0;
  const failing = recording({
    name: 'sweep',
    run: () => Promise.reject(new Error(`try ${++tries}`)),
  });
  const other = recording();
  await using _ = new RetentionSchedule({
    passes: [failing, other],
    log: (event) => void events.push(event),
  });

  await pass(1.5);

  expect(events).toMatchObject([
    { event: 'retention_failed', pass: 'sweep', error: { message: 'try 1' } },
    { event: 'retention_failed', pass: 'sweep', error: { message: 'try 2' } },
  ]);
  expect(other.runs).toEqual([0, 1]);
});

test('passes do not run beside each other', async () => {
  let running = 0;
  let most = 0;
  const slow = recording({
    run: async () => {
      most = Math.max(most, ++running);
      await nextTick();
      running--;
    },
  });
  await using _ = new RetentionSchedule({ passes: [slow, { ...slow }], log: () => {} });

  await pass(1.5);

  expect(most).toBe(1);
});

test('the end of the schedule stops the pass under way, waits for it, and starts no other', async () => {
  let ended = false;
  const stopped = recording({
    run: async (signal) => {
      while (!signal.aborted) await nextTick();
      await nextTick();
      ended = true;
    },
  });
  const waiting = recording();
  const schedule = new RetentionSchedule({ passes: [stopped, waiting], log: () => {} });
  await nextTick();

  await schedule[Symbol.asyncDispose]();

  expect(ended).toBe(true);
  await pass(5);
  expect(waiting.runs).toEqual([]);
});
