import { priceBookOf, bookOn, priceIn, type PriceBook } from '#core/pricing/prices.ts';
import { withMeasuredPrices, type MeasuredPrices } from '#core/pricing/measured-prices.ts';
import { machinePriceId, type Machine } from '#core/pricing/price-ids.ts';
import type { Scope } from '#core/generation.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';
import { ProportionalCalibration } from '#simulation/calibrations.ts';
import { simulate } from '#simulation/simulate.ts';
import type {
  CacheResult,
  CacheSetup,
  FastTier,
  PolicyName,
  ReplayedRequest,
  SimulationOptions,
} from '#simulation/types.ts';
import { UNLIMITED, parseCapacity, type NamedCapacity } from './parse-lists.ts';
import type { PromptVectors } from './prompt-vectors.ts';
import { shuffled } from './shuffle.ts';
import type { VideoProfile } from './video-profile.ts';

export type TierName = 'object' | 'fast';

/** What to simulate, apart from the trace. */
export interface SimulationQuestion {
  policies: readonly PolicyName[];
  capacities: readonly NamedCapacity[];
  tiers: readonly TierName[];
  fastTierBytes: number;
  profile: VideoProfile;
  region: string;
  measured: MeasuredPrices;
  scope: Scope;
  storageClass: StorageClass;
  seed: number;
  /** Replays the whole trace in random order. */
  isShuffled: boolean;
}

/** One simulated cache and its names on the command line. */
export interface NamedResult {
  capacity: string;
  tier: TierName;
  policy: PolicyName;
  result: CacheResult;
}

/** How much of the savings depends on the order of requests. */
export interface LocalityControl {
  capacity: string;
  inOrder: CacheResult;
  shuffled: CacheResult;
}

export interface SimulationAnswer {
  from: number;
  to: number;
  requests: number;
  results: NamedResult[];
  control: LocalityControl;
  book: PriceBook;
  machine: Machine;
  dollarsPerGpuHour: number;
}

/**
 * Time to first byte of an object and throughput of one stream: typical figures of S3 Standard,
 * assumed, not measured.
 */
const FETCH = { seconds: 0.1, bytesPerSecond: 80e6 };

/** Policies that need a limit: without one they evict nothing. */
const NEEDS_LIMIT: readonly PolicyName[] = ['lru', 'lfu', 'fifo', 'lcbfu', 'gdsf'];

/** Capacity of the locality control if none was given. */
const CONTROL_CAPACITY = '10%';

/** Replays a trace through every requested cache and the control. */
export async function runSimulation(
  trace: readonly ReplayedRequest[],
  embedder: Pick<PromptVectors, 'calibration'>,
  question: SimulationQuestion,
): Promise<SimulationAnswer> {
  const { profile } = question;
  const day = new Date(trace[0]!.time * 1000).toISOString().slice(0, 10);
  const book = withMeasuredPrices(bookOn(priceBookOf(question.region), day), question.measured);
  const machine = book.reference;
  const dollarsPerGpuHour = Number(priceIn(book, machinePriceId(machine)).amount) / 1e12;
  const options: Omit<SimulationOptions, 'caches'> = {
    book,
    calibration: profile.hasTunedSteps
      ? embedder.calibration
      : new ProportionalCalibration(embedder.calibration),
    scope: question.scope,
    steps: profile.steps,
    secondsPerEvaluation: profile.secondsPerEvaluation,
    dollarsPerGpuSecond: dollarsPerGpuHour / 3600,
    latentBytes: profile.latentBytes,
    storageClass: question.storageClass,
    fetch: FETCH,
  };
  const named = setupsOf(question, Number(priceIn(book, 'ebs.gp3-storage').amount) / 1e12);
  const controlCapacity = smallestOf(question) ?? controlDefault(trace);
  const controlSetup: CacheSetup = {
    policy: 'lru',
    capacity: controlCapacity.capacity,
    fastTier: null,
  };
  const inDrawnOrder = shuffled(trace, question.seed);
  const main = await simulate(question.isShuffled ? inDrawnOrder : trace, {
    ...options,
    caches: [...named.map(({ setup }) => setup), controlSetup],
  });
  const other = await simulate(question.isShuffled ? trace : inDrawnOrder, {
    ...options,
    caches: [controlSetup],
  });
  const controls = [main.caches.at(-1)!, other.caches[0]!];
  if (question.isShuffled) controls.reverse();
  return {
    from: main.from,
    to: main.to,
    requests: main.requests,
    results: named.map(({ capacity, tier, policy }, index) => ({
      capacity,
      tier,
      policy,
      result: main.caches[index]!,
    })),
    control: {
      capacity: controlCapacity.name,
      inOrder: controls[0]!,
      shuffled: controls[1]!,
    },
    book,
    machine,
    dollarsPerGpuHour,
  };
}

/**
 * Counts distinct requests: the entries of a cache that evicts nothing and serves only exact
 * answers.
 */
export function countDistinct(
  trace: readonly { tenant: string; prompt: string; seed: number | null }[],
): number {
  const distinct = new Set<string>();
  for (const [index, { tenant, prompt, seed }] of trace.entries()) {
    distinct.add(JSON.stringify([tenant, prompt, seed ?? -1 - index]));
  }
  return distinct.size;
}

function controlDefault(trace: readonly ReplayedRequest[]): NamedCapacity {
  return parseCapacity(CONTROL_CAPACITY, countDistinct(trace));
}

/** Returns the smallest limit; null if nothing is limited. */
function smallestOf({ capacities, profile }: SimulationQuestion): NamedCapacity | null {
  const sizeOf = ({ capacity }: NamedCapacity): number =>
    capacity.entries ?? (capacity.latentBytes ?? Infinity) / profile.latentBytes;
  const limited = capacities.filter((capacity) => sizeOf(capacity) < Infinity);
  return limited.sort((one, other) => sizeOf(one) - sizeOf(other))[0] ?? null;
}

/** Lists the setups to simulate: each policy at each capacity that affects it. */
function setupsOf(
  { policies, capacities, tiers, fastTierBytes }: SimulationQuestion,
  dollarsPerGbMonth: number,
): (Omit<NamedResult, 'result'> & { setup: CacheSetup })[] {
  const fastTier: FastTier = { bytes: fastTierBytes, dollarsPerGbMonth };
  return tiers.flatMap((tier, tierIndex) =>
    capacities.flatMap(({ name, capacity }, index) =>
      policies
        .filter((policy) => {
          if (policy === 'none') return index === 0 && tierIndex === 0;
          if (policy === 'all') return index === 0;
          return name !== UNLIMITED.name || !NEEDS_LIMIT.includes(policy);
        })
        .map((policy) => {
          const isWhole = policy === 'none' || policy === 'all';
          const setup: CacheSetup = {
            policy,
            capacity: isWhole ? UNLIMITED.capacity : capacity,
            fastTier: tier === 'fast' && policy !== 'none' ? fastTier : null,
          };
          return { capacity: isWhole ? UNLIMITED.name : name, tier, policy, setup };
        }),
    ),
  );
}
