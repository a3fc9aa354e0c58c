import { InvalidInputError } from '#core/errors.ts';

/**
 * Parameters of a synthetic trace. The measured defaults describe real users: GenTD26 is Alibaba's
 * trace of a text-to-image service (alibaba/clusterdata,
 * cluster-trace-v2026-GenAI/lora_request_trace.csv; 24,438 text-to-image requests of 24 days from
 * 4,247 groups of users), DiffusionDB the first 5,000 prompts of DiffusionDB-2M in order
 * (qizhengyang98/DiffServe), and Argus the log published by the authors of NIRVANA
 * (skejriwal44/argus). The rest is assumed, and the trace's header marks it.
 */
export interface SyntheticParameters {
  requests: number;
  seed: number;
  /** ISO 8601. */
  start: string;
  /** Mean requests a day. GenTD26: 24,438 in 24 days. */
  requestsPerDay: number;
  /** Users per request, many of whom never send one. Fitted, with `userSlope`, to GenTD26. */
  usersPerRequest: number;
  /**
   * Rank slope of the number of sessions per user. GenTD26: 1 % of its groups send 27.7 % of the
   * requests, 10 % send 57.1 %; 0.77 among groups of five requests and more.
   */
  userSlope: number;
  /** Number of tenants of the users; their sizes follow `userSlope`. Assumed: one. */
  tenants: number;
  /** Shares of sessions with 1, 2, 3 and 4 requests; see `sessions.ts`. */
  sessionShares: readonly number[];
  /** Mean number of requests beyond five in longer sessions. */
  sessionTailMean: number;
  /** Seconds between two requests of a user: quantiles, up to the end of a session. */
  gapQuantiles: readonly { share: number; seconds: number }[];
  /** How a prompt differs from the previous one in its session. DiffusionDB's linked prompts. */
  edits: { same: number; add: number; remove: number; swap: number };
  /** Share of swaps that change two things. Assumed; with it a swap changes about two words. */
  doubleSwapShare: number;
  /** Share of repeated prompts that repeat the seed, too. Assumed: no source. */
  sameSeedShare: number;
  /** Share of a user's later sessions that open with an earlier prompt of that user. */
  returnShare: number;
  /** Rank slope of the opening topics. Argus: 0.38 among its 1,000 most frequent queries. */
  topicSlope: number;
  /** Chance that an opening prompt mentions each optional detail. Assumed. */
  detailShare: number;
  /** Rate at the day's peak is `1 + diurnal` of the mean, at its trough `1 - diurnal`. Assumed. */
  diurnal: number;
}

export const SYNTHETIC_DEFAULTS: Omit<SyntheticParameters, 'requests' | 'seed'> = {
  start: '2026-01-01T00:00:00Z',
  requestsPerDay: 1018,
  usersPerRequest: 0.8,
  userSlope: 0.85,
  tenants: 1,
  sessionShares: [0.328, 0.215, 0.125, 0.083],
  sessionTailMean: 6.4,
  gapQuantiles: [
    { share: 0, seconds: 10 },
    { share: 0.25, seconds: 42 },
    { share: 0.5, seconds: 72 },
    { share: 0.75, seconds: 159 },
    { share: 0.842, seconds: 300 },
    { share: 0.88, seconds: 1800 },
  ],
  edits: { same: 0.238, add: 0.165, remove: 0.073, swap: 0.524 },
  doubleSwapShare: 0.3,
  sameSeedShare: 0.2,
  returnShare: 0.5,
  topicSlope: 0.38,
  detailShare: 0.3,
  diurnal: 0.6,
};

/** Source of each parameter, for the trace header and the help. */
export const PARAMETER_SOURCES: Readonly<Record<keyof typeof SYNTHETIC_DEFAULTS, string>> = {
  start: 'assumed',
  requestsPerDay: 'GenTD26: 24,438 text-to-image requests in 24 days',
  usersPerRequest: 'fitted to GenTD26: 1 % of groups send 27.7 % of requests, 10 % send 57.1 %',
  userSlope: 'fitted to the same; measured -0.77 among groups of five requests and more',
  tenants: 'assumed',
  sessionShares:
    'fitted to GenTD26: mean 4.31, median 2; 92.4 % of requests in sessions of two and more, 65.9 % of five and more',
  sessionTailMean: 'fitted to GenTD26: mean 4.31, 90th percentile 9',
  gapQuantiles:
    'GenTD26: 25/50/75 % within 42/72/159 s, 84.2 % within 5 min; the shortest gap and the share of gaps inside sessions are fitted',
  edits: 'DiffusionDB: same words 23.8 %, words added 16.5 %, removed 7.3 %, swapped 52.4 %',
  doubleSwapShare: 'assumed; DiffusionDB: +2.1 and -1.8 words a linked prompt',
  sameSeedShare: 'assumed: no source',
  returnShare:
    'derived from GenTD26: 27.2 % of requests repeat an earlier one of their group, 21.5 % within 30 min',
  topicSlope: 'Argus: rank slope -0.38 among the 1,000 most frequent queries',
  detailShare: 'assumed',
  diurnal: 'assumed; GenTD26 has a strong daily cycle',
};

/** Maximum length of a replayed trace. */
const MAX_REQUESTS = 1_000_000;
const MAX_REQUESTS_PER_DAY = 1e8;

const SHARES = [
  'doubleSwapShare',
  'sameSeedShare',
  'returnShare',
  'detailShare',
  'diurnal',
] as const satisfies readonly (keyof SyntheticParameters)[];

/**
 * Checks the parameters.
 *
 * @throws InvalidInputError that names the first invalid parameter
 */
export function checkParameters(parameters: SyntheticParameters): void {
  const { requests, tenants, requestsPerDay, usersPerRequest, edits } = parameters;
  requireThat(
    Number.isInteger(requests) && requests >= 1 && requests <= MAX_REQUESTS,
    'requests',
    requests,
    `a whole number from 1 to ${MAX_REQUESTS}`,
  );
  requireThat(
    Number.isInteger(parameters.seed) && parameters.seed >= 0 && parameters.seed < 2 ** 32,
    'seed',
    parameters.seed,
    'a whole number from 0 to 4294967295',
  );
  requireThat(
    Number.isInteger(tenants) && tenants >= 1 && tenants <= 10_000,
    'tenants',
    tenants,
    'a whole number from 1 to 10000',
  );
  requireThat(
    requestsPerDay > 0 && requestsPerDay <= MAX_REQUESTS_PER_DAY,
    'requestsPerDay',
    requestsPerDay,
    `a number above 0, at most ${MAX_REQUESTS_PER_DAY}`,
  );
  requireThat(
    usersPerRequest > 0 && usersPerRequest <= 1,
    'usersPerRequest',
    usersPerRequest,
    'a number above 0, at most 1',
  );
  for (const name of ['userSlope', 'topicSlope'] as const) {
    const slope = parameters[name];
    requireThat(slope >= 0 && slope <= 3, name, slope, 'a number from 0 to 3');
  }
  for (const name of SHARES) {
    const share = parameters[name];
    requireThat(share >= 0 && share <= 1, name, share, 'a number from 0 to 1');
  }
  const mix = Object.values(edits);
  const sum = mix.reduce((total, share) => total + share, 0);
  requireThat(
    mix.every((share) => share >= 0) && Math.abs(sum - 1) < 1e-6,
    'edits',
    mix.join(', '),
    'shares that add up to 1',
  );
}

function requireThat(isRight: boolean, field: string, value: unknown, expected: string): void {
  if (isRight) return;
  throw new InvalidInputError(field, `${field} ${value} is not ${expected}`, `give ${expected}`);
}
