import { createRandomSource } from '#core/random.ts';
import { simulate } from '#simulation/simulate.ts';
import type { ReplayedRequest } from '#simulation/types.ts';
import { cache, simulationOptions, START, vectorOf } from '../test/simulation/trace-fixture.ts';

const DAY_SECONDS = 86_400;

interface Use {
  day: number;
  prompt: string;
}

/** Prompts that come again after days, and a cache for them. */
export interface ReturningPrompts {
  name: string;
  trace: () => ReplayedRequest[];
  /** How many entries the cache holds. */
  entries: number;
  /** Whether LRU holds every entry until it returns, or none. */
  isEnoughForLru: boolean;
  /** Dollars of the rent policy by those of LRU: no more than this is expected. */
  most: number;
}

const enough = { isEnoughForLru: true };
const tooFew = { isEnoughForLru: false };

export const RETURNING_PROMPTS: readonly ReturningPrompts[] = [
  {
    name: 'all return once, after three days',
    trace: () => slow(1),
    entries: 276,
    most: 1.01,
    ...enough,
  },
  {
    name: 'half return once, after three days',
    trace: () => slow(0.5),
    entries: 216,
    most: 1.03,
    ...enough,
  },
  {
    name: 'three in ten return once, after three days',
    trace: () => slow(0.3),
    entries: 192,
    most: 1.06,
    ...enough,
  },
  {
    name: 'one in ten returns once, after three days',
    trace: () => slow(0.1),
    entries: 156,
    most: 1.06,
    ...enough,
  },
  {
    name: 'half return every week, half never',
    trace: () => weekly(200, 6, 200),
    entries: 440,
    most: 1.02,
    ...enough,
  },
  {
    name: 'a quarter return every week, the others never',
    trace: () => weekly(100, 8, 300),
    entries: 440,
    most: 1.02,
    ...enough,
  },
  {
    name: 'all return once, after three days',
    trace: () => slow(1),
    entries: 192,
    most: 0.7,
    ...tooFew,
  },
  {
    name: 'half return every week, half never',
    trace: () => weekly(200, 6, 200),
    entries: 300,
    most: 0.8,
    ...tooFew,
  },
];

/** Every prompt is new, and this share of them comes again once, after three days give or take. */
function slow(share: number, promptsPerDay = 40, days = 30): ReplayedRequest[] {
  const random = createRandomSource(1, 'slow returns');
  const next = (): number => random.nextUint32() / 2 ** 32;
  const uses: Use[] = [];
  for (let index = 0; index < promptsPerDay * days; index++) {
    const [day, prompt] = [index / promptsPerDay, `p${index}`];
    const [chance, spread] = [next(), next()];
    uses.push({ day, prompt });
    if (chance < share) uses.push({ day: day + 2.7 + 0.6 * spread, prompt });
  }
  return traceOf(uses.filter(({ day }) => day < days));
}

/** So many prompts that come every week, and so many each week that come once. */
function weekly(returning: number, weeks: number, oncePerWeek: number): ReplayedRequest[] {
  const uses: Use[] = [];
  for (let week = 0; week < weeks; week++) {
    for (let index = 0; index < returning; index++) {
      uses.push({ day: 7 * (week + index / returning), prompt: `weekly ${index}` });
    }
    for (let index = 0; index < oncePerWeek; index++) {
      uses.push({ day: 7 * (week + index / oncePerWeek) + 0.001, prompt: `once ${week} ${index}` });
    }
  }
  return traceOf(uses);
}

/** No two prompts are near each other, and each has one seed: what comes again is an exact answer. */
function traceOf(uses: readonly Use[]): ReplayedRequest[] {
  const vectors = new Map<string, Float32Array>();
  return uses
    .toSorted((one, other) => one.day - other.day)
    .map(({ day, prompt }) => {
      const whole = vectors.get(prompt) ?? vectorOf(prompt);
      vectors.set(prompt, whole);
      return {
        time: START + day * DAY_SECONDS,
        tenant: 'default',
        prompt,
        seed: 5,
        vectors: { whole, object: null, background: null },
      };
    });
}

/** Dollars of the rent policy by those of LRU: 12 evaluations of 2 s at a dollar an hour. */
export async function rentToLru({ trace, entries }: ReturningPrompts): Promise<number> {
  const caches = (['rent', 'lru'] as const).map((policy) => cache(policy, entries));
  const summary = await simulate(trace(), simulationOptions({ caches }));
  const [rent, lru] = summary.caches.map(({ dollars }) => dollars.total);
  return rent! / lru!;
}
