import { describe, expect, test } from 'vitest';
import { addDays, monthMilliseconds } from '#core/day.ts';
import { dayRange, daysOf } from '#core/reports/day-range.ts';

const NOW = Date.parse('2026-11-23T00:30:00+02:00');

describe('the days of a report', () => {
  test('are thirty up to today, in UTC, where nothing else is said', () => {
    // In Paris it is the 23rd already.
    expect(dayRange({}, NOW)).toEqual({ from: '2026-10-24', to: '2026-11-22' });
    expect([...daysOf(dayRange({}, NOW))]).toHaveLength(30);
  });

  test('both belong to it', () => {
    expect([...daysOf({ from: '2024-02-28', to: '2024-03-01' })]).toEqual([
      '2024-02-28',
      '2024-02-29',
      '2024-03-01',
    ]);
    expect([...daysOf({ from: '2026-12-31', to: '2027-01-01' })]).toHaveLength(2);
    expect([...daysOf({ from: '2026-11-22', to: '2026-11-22' })]).toHaveLength(1);
  });

  test('every day of a year comes once, whatever clocks do', () => {
    const days = [...daysOf({ from: '2024-01-01', to: '2024-12-31' })];

    expect(new Set(days).size).toBe(366);
    expect(days).toEqual(days.toSorted());
  });

  test.each([
    [{ from: '2026-02-29' }, 'from "2026-02-29" is not a day of the calendar'],
    [{ from: '2026-13-01' }, 'from "2026-13-01"'],
    [{ to: 'yesterday' }, 'to "yesterday"'],
    [{ to: '22.11.2026' }, 'to "22.11.2026"'],
    [{ from: '' }, 'from ""'],
    [{ to: '2026-11-23' }, 'to 2026-11-23 is in the future: today is 2026-11-22, UTC'],
    [{ from: '2027-01-01' }, 'from 2027-01-01 is in the future'],
    [{ from: '2026-11-02', to: '2026-11-01' }, 'from 2026-11-02 is after to 2026-11-01'],
    [{ from: '0001-01-01' }, 'at most 3660'],
  ])('%j is refused by name', (asked, said) => {
    expect(() => dayRange(asked, NOW)).toThrow(said);
    expect(() => dayRange(asked, NOW)).toThrow(
      expect.objectContaining({ code: 'invalid_input', fix: expect.any(String) }),
    );
  });
});

test('months are as long as the calendar says', () => {
  const days = (day: string): number => monthMilliseconds(day) / 86_400_000;

  expect(days('2026-02-10')).toBe(28);
  expect(days('2024-02-29')).toBe(29);
  expect(days('2026-12-31')).toBe(31);
  expect(days('2026-11-01')).toBe(30);
  expect(addDays('2024-03-01', -1)).toBe('2024-02-29');
  expect(addDays('2026-03-29', 1)).toBe('2026-03-30');
});
