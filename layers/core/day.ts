/**
 * `2026-11-22`: the day of an ISO 8601 time, UTC. Money is reserved and settled under the day of a
 * job's creation.
 */
export function dayOf(time: string): string {
  return time.slice(0, '2026-11-22'.length);
}
