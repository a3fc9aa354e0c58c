import { createRandomSource, type RandomSource } from '#core/random.ts';
import { drawBoolean, drawUniform, RankSource } from './draw.ts';
import type { SyntheticParameters } from './synthetic-parameters.ts';

/** Requests of one user with gaps of less than half an hour. */
export interface Session {
  /** Index from 0, the most frequent user first. */
  user: number;
  /** Epoch seconds of its requests, ascending. */
  times: number[];
}

export const SECONDS_BETWEEN_SESSIONS = 1800;

const SECONDS_A_DAY = 86_400;
/** Peak hour of the day, UTC. */
const BUSIEST_HOUR = 15;
/** Shape of the tail of long sessions: together with the mean it gives a 90th percentile of 9. */
const TAIL_SHAPE = 3;
/**
 * Limit on session length: the longest run of similar prompts in DiffusionDB's first 5,000 has 126.
 */
const MAX_SESSION = 200;

/** Draws all sessions of a trace, in order of their start. */
export function drawSessions(parameters: SyntheticParameters): Session[] {
  const { seed, requests } = parameters;
  const lengths = createRandomSource(seed, 'session-lengths');
  const gaps = createRandomSource(seed, 'gaps');
  const userCount = Math.max(1, Math.round(requests * parameters.usersPerRequest));
  const users = new RankSource(createRandomSource(seed, 'users'), userCount, parameters.userSlope);

  const drafts: { user: number; length: number }[] = [];
  for (let left = requests; left > 0;) {
    const length = Math.min(left, drawLength(lengths, parameters));
    drafts.push({ user: users.next(), length });
    left -= length;
  }
  const starts = drawStarts(parameters, drafts.length);
  const endOf = new Float64Array(userCount).fill(-Infinity);
  const sessions = drafts.map(({ user, length }, index) => {
    let time = Math.max(starts[index]!, endOf[user]! + SECONDS_BETWEEN_SESSIONS);
    const times = [time];
    while (times.length < length) {
      time += drawGap(gaps, parameters);
      times.push(time);
    }
    endOf[user] = time;
    return { user, times };
  });
  return sessions.sort((one, other) => one.times[0]! - other.times[0]!);
}

/** Draws session starts, ascending. */
function drawStarts(parameters: SyntheticParameters, count: number): Float64Array {
  const random = createRandomSource(parameters.seed, 'session-starts');
  const first = Date.parse(parameters.start) / 1000;
  const span = (parameters.requests / parameters.requestsPerDay) * SECONDS_A_DAY;
  const starts = new Float64Array(count);
  for (let index = 0; index < count; index++) {
    for (;;) {
      const time = first + drawUniform(random) * span;
      const hours = ((time % SECONDS_A_DAY) / SECONDS_A_DAY) * 24 - BUSIEST_HOUR;
      const rate = 1 + parameters.diurnal * Math.cos((hours / 24) * 2 * Math.PI);
      if (!drawBoolean(random, rate / (1 + parameters.diurnal))) continue;
      starts[index] = time;
      break;
    }
  }
  return starts.sort();
}

function drawLength(random: RandomSource, parameters: SyntheticParameters): number {
  let draw = drawUniform(random);
  for (const [index, share] of parameters.sessionShares.entries()) {
    if (draw < share) return index + 1;
    draw -= share;
  }
  // A Lomax tail, rounded down; rounding removes half a request on average.
  const scale = (parameters.sessionTailMean + 0.5) * (TAIL_SHAPE - 1);
  const beyond = scale * ((1 - drawUniform(random)) ** (-1 / TAIL_SHAPE) - 1);
  return Math.min(MAX_SESSION, parameters.sessionShares.length + 1 + Math.floor(beyond));
}

/** Draws a gap; between the given quantiles its logarithm is uniform. */
function drawGap(random: RandomSource, { gapQuantiles }: SyntheticParameters): number {
  const share = drawUniform(random) * gapQuantiles.at(-1)!.share;
  const above = gapQuantiles.findIndex((point) => point.share > share);
  const [low, high] = [gapQuantiles[above - 1]!, gapQuantiles[above]!];
  const part = (share - low.share) / (high.share - low.share);
  return low.seconds * (high.seconds / low.seconds) ** part;
}
