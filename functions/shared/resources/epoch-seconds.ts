/** Unix time, whole seconds, of an ISO date. */
export function epochSeconds(date: string): number {
  return Math.floor(Date.parse(date) / 1000);
}
