import { DefaultCalibration } from '#core/planning/calibration.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { createRandomSource, type RandomSource } from '#core/random.ts';
import type {
  CacheSetup,
  PolicyName,
  ReplayedRequest,
  SimulationOptions,
} from '#simulation/types.ts';

/** 2026-11-22T00:00:00Z, epoch seconds. */
export const START = Date.UTC(2026, 10, 22) / 1000;

/** A unit vector, drawn near another one if there is one. */
export function unitVector(
  random: RandomSource,
  dimensions: number,
  near?: Float32Array,
  spread = 1,
): Float32Array {
  const drawn = Array.from({ length: dimensions }, (_, index) => {
    const noise = random.nextUint32() / 2 ** 31 - 1 + (random.nextUint32() / 2 ** 31 - 1);
    return (near?.[index] ?? 0) + (near === undefined ? 1 : spread / Math.sqrt(dimensions)) * noise;
  });
  const length = Math.hypot(...drawn);
  return Float32Array.from(drawn, (element) => element / length);
}

/** A prompt's own direction: no two names are near each other. */
export function vectorOf(name: string): Float32Array {
  return unitVector(createRandomSource(1, `vector of ${name}`), 32);
}

/** Requests a minute apart, by name: the same name is the same prompt. */
export function requestsOf(names: readonly string[], secondsApart = 60): ReplayedRequest[] {
  return names.map((name, index) => ({
    time: START + index * secondsApart,
    tenant: 'default',
    prompt: name,
    seed: index,
    vectors: { whole: vectorOf(name), object: null, background: null },
  }));
}

export function cache(
  policy: PolicyName,
  entries: number | null = null,
  overrides: Partial<CacheSetup> = {},
): CacheSetup {
  return { policy, capacity: { entries, latentBytes: null }, fastTier: null, ...overrides };
}

/** 12 evaluations of 2 s at a dollar an hour; the GPU waits for nothing. */
export function simulationOptions(overrides: Partial<SimulationOptions> = {}): SimulationOptions {
  return {
    caches: [cache('all')],
    book: priceBookOf('us-east-1'),
    calibration: new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 }),
    scope: 'shared',
    steps: 12,
    secondsPerEvaluation: 2,
    dollarsPerGpuSecond: 1 / 3600,
    latentBytes: 2 ** 20,
    storageClass: 'STANDARD',
    fetch: { seconds: 0, bytesPerSecond: Infinity },
    ...overrides,
  };
}
