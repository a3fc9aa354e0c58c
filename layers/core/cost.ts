import type { Job, ReplacedWork, UsageRecord } from './generation.ts';
import { priceOf, quantityOf, type Quantity } from './money.ts';
import { machinePriceId, priceIn, type Machine, type PriceBook } from './prices.ts';
import { billedMachine, costOfUsage, gpuHours, type CostItem } from './usage-cost.ts';

/** What GPU seconds were priced as. */
export interface CostBasis extends Machine {
  /** True when no such machine was billed: the work ran on this machine, or there was none. */
  isReference: boolean;
}

/** What one service had in a cost. */
export interface ServiceCost {
  /** First part of a price's id: `lambda`, `ec2`, ... */
  service: string;
  /** Pico-dollars. */
  amount: bigint;
}

/** What one video cost. All amounts are pico-dollars, marginal: idle and starting machines are not in it. */
export interface JobCost {
  total: bigint;
  /** Largest first. */
  services: ServiceCost[];
  items: CostItem[];
  gpu: bigint;
  /** What the same request would have cost without reuse; `total` when that is not known. */
  full: bigint;
  /** `full` less `total`: the GPU seconds of the evaluations that reuse skipped. */
  saved: bigint;
  basis: CostBasis;
  /** Date of the price book. */
  asOf: string;
  region: string;
}

/**
 * What a job has cost so far, by its usage records and the list prices of a book.
 *
 * @throws InvalidInputError when a record cannot have been measured.
 * @throws UnknownPriceError when an instance type has no price.
 * @example costOfJob(job, priceBookOf('us-east-1')).total // pico-dollars
 */
export function costOfJob(job: Pick<Job, 'usage' | 'result'>, book: PriceBook): JobCost {
  const { total, items } = costOfUsage(job.usage, book);
  const generate = lastGeneration(job.usage);
  const basis = basisOf(generate, book);
  const hour = priceIn(book, machinePriceId(basis)).amount;
  const fullHours = fullGenerationHours(job, generate);
  const runHours = gpuHours(generate?.gpuSeconds ?? 0, 'gpuSeconds');
  const saved = fullHours === null ? 0n : priceOf(hour, fullHours) - priceOf(hour, runHours);
  return {
    total,
    services: byService(items),
    items,
    gpu: sumOf(items.filter(({ service }) => service === 'ec2')),
    full: total + saved,
    saved,
    basis,
    asOf: book.asOf,
    region: book.region,
  };
}

/** How long work on the GPU takes, as measured. */
export interface GenerationTiming {
  secondsPerEvaluation: number;
  /** Whatever the number of evaluations: decode, encode, store. */
  fixedSeconds: number;
}

/**
 * Assumed before anything was measured: 50 evaluations in 110 s, a 480p video of a 1.3 B model on one
 * L4. Small models take a fraction of it.
 */
export const ASSUMED_TIMING: GenerationTiming = { secondsPerEvaluation: 2, fixedSeconds: 10 };

/**
 * Timing by the records of videos that were made; null when none of them ran the denoiser.
 *
 * @example estimateCost({ networkEvaluations: 50, timing: measuredTiming(records) ?? ASSUMED_TIMING }, book)
 */
export function measuredTiming(records: readonly UsageRecord[]): GenerationTiming | null {
  const made = records.filter((record) => (record.networkEvaluations ?? 0) > 0);
  const sum = (field: 'networkEvaluations' | 'gpuSeconds' | 'denoiseSeconds'): number =>
    made.reduce((total, record) => total + (record[field] ?? 0), 0);
  const evaluations = sum('networkEvaluations');
  if (evaluations === 0) return null;
  const total = sum('gpuSeconds');
  const denoise = made.every((record) => record.denoiseSeconds !== undefined)
    ? sum('denoiseSeconds')
    : total;
  return {
    secondsPerEvaluation: denoise / evaluations,
    fixedSeconds: Math.max(0, total - denoise) / made.length,
  };
}

export interface CostQuestion {
  /** That will be run; 0 for an exact hit, which needs no GPU. */
  networkEvaluations: number;
  /** `ASSUMED_TIMING` unless measured. */
  timing?: GenerationTiming;
  /** The book's reference unless said. */
  machine?: Machine;
}

export interface CostEstimate {
  /** Pico-dollars. */
  total: bigint;
  services: ServiceCost[];
  items: CostItem[];
  gpu: bigint;
  basis: CostBasis;
  asOf: string;
  region: string;
}

/**
 * What a video will cost about: for reservations of a budget, and for what is only asked.
 *
 * @throws InvalidInputError when the question is not answerable; @throws UnknownPriceError
 */
export function estimateCost(question: CostQuestion, book: PriceBook): CostEstimate {
  const { networkEvaluations, timing = ASSUMED_TIMING, machine } = question;
  quantityOf(networkEvaluations, 'networkEvaluations', MOST_EVALUATIONS);
  quantityOf(timing.secondsPerEvaluation, 'timing.secondsPerEvaluation', 24 * 3600);
  quantityOf(timing.fixedSeconds, 'timing.fixedSeconds', 24 * 3600);
  const basis = { ...(machine ?? referenceMachine(book)), isReference: machine === undefined };
  const { total, items } = costOfUsage(
    typicalUsage({ networkEvaluations, timing, machine: basis }),
    book,
  );
  return {
    total,
    services: byService(items),
    items,
    gpu: sumOf(items.filter(({ service }) => service === 'ec2')),
    basis,
    asOf: book.asOf,
    region: book.region,
  };
}

const MOST_EVALUATIONS = 1_000_000;

/** A worker renews its message this often. */
const SECONDS_PER_QUEUE_REQUEST = 20;

/**
 * What the workflow uses around the GPU, generously: three looked-up parts, two donors, one entry of
 * four write units. All of it together is a fraction of a GPU second.
 */
function typicalUsage({
  networkEvaluations,
  timing,
  machine,
}: Required<CostQuestion>): UsageRecord[] {
  const isExact = networkEvaluations === 0;
  const gpuSeconds = timing.fixedSeconds + networkEvaluations * timing.secondsPerEvaluation;
  const records: UsageRecord[] = [
    { step: 'embed', lambdaMilliseconds: 300, lambdaMegabytes: 1769, tableWriteUnits: 1 },
    {
      step: 'lookup',
      lambdaMilliseconds: 300,
      lambdaMegabytes: 512,
      tableReadUnits: 10,
      tableWriteUnits: 8,
      vectorQueries: isExact ? 0 : 3,
    },
  ];
  if (!isExact) {
    records.push({
      step: 'generate',
      lambdaMilliseconds: 100,
      lambdaMegabytes: 512,
      gpuSeconds,
      instanceType: machine.instanceType,
      purchaseOption: machine.purchaseOption,
      networkEvaluations,
      objectGets: 2,
      objectPuts: 5,
      tableWriteUnits: 20,
      queueRequests: 4 + Math.ceil(gpuSeconds / SECONDS_PER_QUEUE_REQUEST),
    });
  }
  records.push({
    step: 'commit',
    lambdaMilliseconds: 500,
    lambdaMegabytes: 512,
    tableReadUnits: 4,
    tableWriteUnits: 15,
    vectorPuts: isExact ? 0 : 3,
    stateTransitions: isExact ? 4 : 5,
  });
  return records;
}

/** The generation that made the video; those of earlier attempts were spent in vain. */
function lastGeneration(usage: readonly UsageRecord[]): UsageRecord | undefined {
  return usage
    .filter((record) => record.gpuSeconds !== undefined)
    .toSorted((left, right) => (left.attempt ?? 1) - (right.attempt ?? 1))
    .at(-1);
}

function basisOf(generate: UsageRecord | undefined, book: PriceBook): CostBasis {
  const machine = generate === undefined ? null : billedMachine(generate, book);
  if (machine === null) return { ...referenceMachine(book), isReference: true };
  return { ...machine, isReference: generate?.purchaseOption === 'embedded' };
}

function referenceMachine({ reference }: PriceBook): Machine {
  return { instanceType: reference.instanceType, purchaseOption: reference.purchaseOption };
}

/**
 * GPU hours of a full generation: the work that was measured, with its evaluations scaled to a full
 * generation's. Null while there is nothing to scale.
 */
function fullGenerationHours(
  { result }: Pick<Job, 'result'>,
  generate: UsageRecord | undefined,
): Quantity | null {
  if (result === undefined) return null;
  const work = generate === undefined ? result.replaced : workOf(generate);
  if (work === undefined || work.networkEvaluations === 0) return null;
  // A worker that took over ran the last of the steps only; what was saved counts from all of them.
  const stepsRun = generate === undefined ? work.networkEvaluations : result.stepsRun;
  const skipped = exact(result.fullSteps, 'result.fullSteps') - exact(stepsRun, 'result.stepsRun');
  const evaluations = exact(work.networkEvaluations, 'networkEvaluations');
  const seconds = gpuHours(work.gpuSeconds, 'gpuSeconds');
  // Without a measure of its own the denoiser is taken for all of the work: little of it is not.
  const denoise = gpuHours(work.denoiseSeconds ?? work.gpuSeconds, 'denoiseSeconds');
  // seconds + skipped * denoise / evaluations, over one denominator
  const value =
    seconds.value * denoise.scale * evaluations + skipped * denoise.value * seconds.scale;
  return { value: value > 0n ? value : 0n, scale: seconds.scale * denoise.scale * evaluations };
}

function workOf(record: UsageRecord): ReplacedWork | undefined {
  const { gpuSeconds, denoiseSeconds, networkEvaluations } = record;
  if (gpuSeconds === undefined || networkEvaluations === undefined) return undefined;
  return {
    gpuSeconds,
    networkEvaluations,
    ...(denoiseSeconds !== undefined && { denoiseSeconds }),
  };
}

function exact(count: number, field: string): bigint {
  const { value, scale } = quantityOf(count, field, MOST_EVALUATIONS);
  return value / scale;
}

function byService(items: readonly CostItem[]): ServiceCost[] {
  const amounts = new Map<string, bigint>();
  for (const { service, amount } of items) {
    amounts.set(service, (amounts.get(service) ?? 0n) + amount);
  }
  return [...amounts]
    .map(([service, amount]) => ({ service, amount }))
    .sort((left, right) =>
      left.amount === right.amount ? 0 : left.amount > right.amount ? -1 : 1,
    );
}

function sumOf(items: readonly CostItem[]): bigint {
  return items.reduce((sum, { amount }) => sum + amount, 0n);
}
