import type { BenchRequest } from './requests.ts';

/** How far behind the earliest waiting request a turn looks for requests of other sessions. */
const LOOK_AHEAD = 128;

/**
 * Requests in the order in which they come, in turns of up to `most` at once, as workers side by side take them: the next
 * request of a session waits until the one before is finished, and so does one with a prompt that is in the turn.
 * Those of other sessions go on meanwhile, but no farther ahead than `LOOK_AHEAD`.
 */
export function* turnsOf(
  requests: readonly BenchRequest[],
  most: number,
): Generator<BenchRequest[]> {
  let waiting = [...requests];
  while (waiting.length > 0) {
    const turn: BenchRequest[] = [];
    const sessions = new Set<number>();
    const prompts = new Set<string>();
    for (const request of waiting.slice(0, LOOK_AHEAD)) {
      const isFree = !sessions.has(request.session) && !prompts.has(request.prompt);
      // Whoever waits holds up what comes later of the same.
      sessions.add(request.session);
      prompts.add(request.prompt);
      if (isFree && turn.length < most) turn.push(request);
    }
    yield turn;
    const taken = new Set(turn);
    waiting = waiting.filter((request) => !taken.has(request));
  }
}
