import { beforeAll, describe, expect, test } from 'vitest';
import {
  generateTrace,
  syntheticHeader,
  type SyntheticRequest,
} from '#simulation/traces/generate-trace.ts';
import {
  PARAMETER_SOURCES,
  SYNTHETIC_DEFAULTS,
  type SyntheticParameters,
} from '#simulation/traces/synthetic-parameters.ts';

const PARAMETERS: SyntheticParameters = { ...SYNTHETIC_DEFAULTS, requests: 30_000, seed: 1 };

let requests: SyntheticRequest[];

beforeAll(() => {
  requests = generateTrace(PARAMETERS);
});

function countBy<Key>(keyOf: (request: SyntheticRequest) => Key): Map<Key, number> {
  const counts = new Map<Key, number>();
  for (const request of requests) {
    counts.set(keyOf(request), (counts.get(keyOf(request)) ?? 0) + 1);
  }
  return counts;
}

function quantile(values: number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor(share * values.length)]!;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

describe('a synthetic trace is near what was measured of real users', () => {
  test('in how long their sessions are', () => {
    const lengths = [...countBy(({ session }) => session).values()];
    expect(sum(lengths) / lengths.length).toBeCloseTo(4.31, 0);
    expect(quantile(lengths, 0.5)).toBe(2);
    expect(quantile(lengths, 0.9)).toBeGreaterThanOrEqual(8);
    expect(quantile(lengths, 0.9)).toBeLessThanOrEqual(10);
    const inSessionsOf = (least: number): number =>
      sum(lengths.filter((length) => length >= least)) / requests.length;
    expect(inSessionsOf(2)).toBeCloseTo(0.924, 1);
    expect(Math.abs(inSessionsOf(5) - 0.659)).toBeLessThan(0.03);
  });

  test('in how long they wait between two requests', () => {
    const last = new Map<number, number>();
    const gaps: number[] = [];
    for (const { user, time } of requests) {
      const before = last.get(user);
      if (before !== undefined) gaps.push(time - before);
      last.set(user, time);
    }
    for (const [share, seconds] of [
      [0.25, 42],
      [0.5, 72],
      [0.75, 159],
    ] as const) {
      expect(Math.abs(quantile(gaps, share) / seconds - 1)).toBeLessThan(0.15);
    }
    const withinFiveMinutes = gaps.filter((gap) => gap <= 300).length / gaps.length;
    expect(Math.abs(withinFiveMinutes - 0.842)).toBeLessThan(0.03);
  });

  test('in how they change their prompts', () => {
    const causes = countBy(({ cause }) => cause);
    const edits = ['same', 'add', 'remove', 'swap'] as const;
    const edited = sum(edits.map((edit) => causes.get(edit)!));
    for (const edit of edits) {
      const share = causes.get(edit)! / edited;
      expect(Math.abs(share - PARAMETERS.edits[edit])).toBeLessThan(0.04);
    }
  });

  test('in how unequal they are', () => {
    const counts = [...countBy(({ user }) => user).values()].sort((one, other) => other - one);
    const top = (share: number): number =>
      sum(counts.slice(0, Math.ceil(share * counts.length))) / requests.length;
    expect(Math.abs(top(0.01) - 0.277)).toBeLessThan(0.05);
    expect(Math.abs(top(0.1) - 0.571)).toBeLessThan(0.05);
  });

  test('in how many come a day, more by day than by night', () => {
    const days = (requests.at(-1)!.time - requests[0]!.time) / 86_400;
    expect(Math.abs(requests.length / days / PARAMETERS.requestsPerDay - 1)).toBeLessThan(0.05);
    const hours = countBy(({ time }) => Math.floor((time % 86_400) / 3600));
    expect(hours.get(15)! / hours.get(3)!).toBeGreaterThan(2.5);
    expect(hours.get(15)! / hours.get(3)!).toBeLessThan(6.5);
  });
});

describe('a synthetic trace', () => {
  test('is in the order of its times and has as many requests as were asked for', () => {
    expect(requests).toHaveLength(PARAMETERS.requests);
    const times = requests.map(({ time }) => time);
    expect(times).toEqual(times.toSorted((one, other) => one - other));
  });

  test('is the same for the same seed and another for another', () => {
    const small = { ...PARAMETERS, requests: 500 };
    expect(generateTrace(small)).toEqual(generateTrace(small));
    const prompts = (seed: number): string[] =>
      generateTrace({ ...small, seed }).map(({ prompt }) => prompt);
    expect(prompts(2)).not.toEqual(prompts(1));
  });

  test('repeats seeds only with their prompts', () => {
    const prompts = new Map(requests.map(({ seed, prompt }) => [seed, prompt]));
    expect(requests.every(({ seed, prompt }) => prompts.get(seed) === prompt)).toBe(true);
    expect(prompts.size).toBeLessThan(requests.length);
  });

  test('keeps each user with one tenant', () => {
    const trace = generateTrace({ ...PARAMETERS, requests: 2000, tenants: 3 });
    const tenantOf = new Map(trace.map(({ user, tenant }) => [user, tenant]));
    expect(trace.every(({ user, tenant }) => tenantOf.get(user) === tenant)).toBe(true);
    expect(new Set(tenantOf.values())).toEqual(new Set(['tenant-1', 'tenant-2', 'tenant-3']));
  });

  test('says that it is synthetic, from what, and where each figure is from', () => {
    const header = syntheticHeader(PARAMETERS);
    expect(header).toMatchObject({
      format: 'flexcache-trace/1',
      synthetic: true,
      parameters: { requests: 30_000, seed: 1, edits: { value: PARAMETERS.edits } },
    });
    for (const name of Object.keys(PARAMETER_SOURCES)) {
      expect(header.parameters![name]).toMatchObject({ source: expect.stringMatching(/.{7}/) });
    }
  });

  test.each([
    [{ requests: 0 }, 'requests'],
    [{ requests: Number.NaN }, 'requests'],
    [{ seed: -1 }, 'seed'],
    [{ requestsPerDay: -5 }, 'requestsPerDay'],
    [{ requestsPerDay: Infinity }, 'requestsPerDay'],
    [{ usersPerRequest: 2 }, 'usersPerRequest'],
    [{ tenants: 0 }, 'tenants'],
    [{ userSlope: -1 }, 'userSlope'],
    [{ diurnal: 1.5 }, 'diurnal'],
    [{ edits: { same: 0.5, add: 0.5, remove: 0.5, swap: 0.5 } }, 'edits'],
  ])('refuses %j by name', (wrong, field) => {
    expect(() => generateTrace({ ...PARAMETERS, ...wrong })).toThrow(
      expect.objectContaining({ code: 'invalid_input', field }),
    );
  });
});
