/**
 * `2026-11-22`: the day of an ISO 8601 time, UTC. Money is reserved and settled under the day of a
 * job's creation.
 */
export function dayOf(time: string): string {
  return time.slice(0, '2026-11-22'.length);
}

/** Whether it is a day of the calendar, as `2026-11-22`; 29 February in leap years alone. */
export function isDay(value: unknown): value is string {
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value)) return false;
  const time = Date.parse(`${value}T00:00:00Z`);
  return !Number.isNaN(time) && dayAt(time) === value;
}

/** The day, UTC, that epoch milliseconds are in. */
export function dayAt(milliseconds: number): string {
  return dayOf(new Date(milliseconds).toISOString());
}

/** Epoch milliseconds at which a day begins, UTC. */
export function startOfDay(day: string): number {
  return Date.parse(`${day}T00:00:00Z`);
}

/** A day so many days later; earlier when negative. */
export function addDays(day: string, days: number): string {
  return dayAt(startOfDay(day) + days * DAY_MILLISECONDS);
}

/** UTC has no leap seconds in epoch milliseconds: every day is as long. */
export const DAY_MILLISECONDS = 86_400_000;

/** How long the month of a day is, 28 to 31 days of it. */
export function monthMilliseconds(day: string): number {
  const [year, month] = day.split('-').map(Number) as [number, number];
  return Date.UTC(year, month) - Date.UTC(year, month - 1);
}
