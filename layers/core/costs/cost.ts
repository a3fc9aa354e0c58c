import type { Amounts } from './amounts.ts';
import { sumRounded } from './sum-rounded.ts';
import { dayOf } from '../day.ts';
import { equivalentsOf } from '../planning/equivalents.ts';
import type { Job, UsageRecord } from '../generation.ts';
import { ledgerOf, type LedgerJob, type LedgerLine } from './ledger.ts';
import { priceOf, quantityOf } from '../pricing/money.ts';
import { savedBy, MAX_EVALUATIONS } from './savings.ts';
import {
  bookOn,
  machinePriceId,
  priceIn,
  type Machine,
  type PriceBook,
} from '../pricing/prices.ts';
import { billedMachine, costOfUsage, gpuHours, type CostItem } from './usage-cost.ts';

/** Machine at whose price GPU seconds are charged. */
export interface CostBasis extends Machine {
  /** True if no machine was billed: the work ran embedded, or there was none. */
  isReference: boolean;
}

/** Share of one service in a cost. */
export interface ServiceCost {
  /** First part of a price id: `lambda`, `ec2`, ... */
  service: string;
  /** Pico-dollars. */
  amount: bigint;
}

/** Usage of a video at one price; `amount = useful + wasted`. */
export interface JobCostItem extends CostItem {
  useful: bigint;
  wasted: bigint;
}

/** Cost of one video. */
export interface JobCost extends Amounts {
  /** Largest first; add up to `total`. */
  services: ServiceCost[];
  /** One per price; add up to `total`. */
  items: JobCostItem[];
  /** The machine that finished the video. */
  basis: CostBasis;
  /** All machines that worked on it. */
  machines: CostBasis[];
  /** Date of the price book. */
  asOf: string;
  region: string;
}

/** Fields of a job that determine its cost. Prices are those of the day of `createdAt`, if given. */
export type PricedJob = Pick<Job, 'usage' | 'result'> & LedgerJob & Partial<Pick<Job, 'createdAt'>>;

/**
 * Computes the cost of a job so far from its usage records and a price book.
 *
 * Each record is priced separately, to the pico-dollar, so that sums agree exactly for every grouping: by
 * attempt, by useful and wasted, over many videos.
 *
 * @throws InvalidInputError if a record has an impossible value.
 * @throws UnknownPriceError if an instance type has no price.
 * @example costOfJob(job, priceBookOf('us-east-1')).total // pico-dollars
 */
export function costOfJob(job: PricedJob, book: PriceBook): JobCost {
  const prices = job.createdAt === undefined ? book : bookOn(book, dayOf(job.createdAt));
  const lines = ledgerOf(job);
  const items = itemsOf(lines, prices);
  const total = sumOf(items);
  const gpu = sumOf(items.filter(({ service }) => service === 'ec2'));
  const worked = lines.filter(({ record }) => record.gpuSeconds !== undefined);
  const idle = machineCost(worked, 'idleSeconds', prices);
  const coldStart = machineCost(worked, 'coldStartSeconds', prices);
  const useful = worked.filter(({ isUseful }) => isUseful).map(({ record }) => record);
  const saved = savedBy(job, useful, prices);
  return {
    gpu,
    requests: total - gpu,
    total,
    wasted: items.reduce((sum, { wasted }) => sum + wasted, 0n),
    idle,
    coldStart,
    loaded: total + idle + coldStart,
    services: byService(items),
    items,
    full: total + saved,
    saved,
    basis: basisOf(useful.at(-1) ?? worked.at(-1)?.record, prices),
    machines: machinesOf(worked, prices),
    asOf: prices.asOf,
    region: prices.region,
  };
}

function itemsOf(lines: readonly LedgerLine[], book: PriceBook): JobCostItem[] {
  const items = new Map<string, JobCostItem>();
  for (const { record, isUseful } of lines) {
    for (const item of costOfUsage([record], book).items) {
      const sum = items.get(item.priceId) ?? {
        ...item,
        quantity: 0,
        amount: 0n,
        useful: 0n,
        wasted: 0n,
      };
      sum.quantity += item.quantity;
      sum.amount += item.amount;
      sum[isUseful ? 'useful' : 'wasted'] += item.amount;
      items.set(item.priceId, sum);
    }
  }
  return [...items.values()];
}

/** Computes the cost of seconds in which a machine waited or started for a video. Free when embedded. */
function machineCost(
  worked: readonly LedgerLine[],
  field: 'idleSeconds' | 'coldStartSeconds',
  book: PriceBook,
): bigint {
  return worked.reduce((sum, { record }) => {
    if (record.purchaseOption === 'embedded') return sum;
    const hours = gpuHours(record[field] ?? 0, `${record.step}.${field}`);
    return sum + priceOf(priceIn(book, machinePriceId(billedMachine(record, book)!)).amount, hours);
  }, 0n);
}

/** Measured duration of GPU work. */
export interface GenerationTiming {
  /** Per network evaluation of all tokens. */
  secondsPerEvaluation: number;
  /** Independent of the number of evaluations: decode, encode, store. */
  fixedSeconds: number;
}

/**
 * Timing assumed without measurements: 50 evaluations in 110 s, a 480p video of a 1.3 B model on one L4.
 * Small models take a fraction of it.
 */
export const ASSUMED_TIMING: GenerationTiming = { secondsPerEvaluation: 2, fixedSeconds: 10 };

/**
 * Computes the timing from usage records; null if none of them ran the denoiser.
 *
 * @example estimateCost({ networkEvaluations: 50, timing: measuredTiming(records) ?? ASSUMED_TIMING }, book)
 */
export function measuredTiming(records: readonly UsageRecord[]): GenerationTiming | null {
  const made = records.filter((record) => (record.networkEvaluations ?? 0) > 0);
  const sum = (field: 'gpuSeconds' | 'denoiseSeconds'): number =>
    made.reduce((total, record) => total + (record[field] ?? 0), 0);
  const evaluations = sumRounded(made, equivalentsOf);
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
  /** Evaluations to run, in evaluations of all tokens; 0 for an exact hit, which needs no GPU. */
  networkEvaluations: number;
  /** Default: `ASSUMED_TIMING`. */
  timing?: GenerationTiming;
  /** Default: the book's reference machine. */
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
 * Estimates the cost of a video, for budget reservations and dry runs.
 *
 * @throws InvalidInputError if a value of the question is invalid; @throws UnknownPriceError
 */
export function estimateCost(question: CostQuestion, book: PriceBook): CostEstimate {
  const { networkEvaluations, timing = ASSUMED_TIMING, machine } = question;
  quantityOf(networkEvaluations, 'networkEvaluations', MAX_EVALUATIONS);
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

/** Interval at which a worker extends the visibility timeout of its message. */
const SECONDS_PER_QUEUE_REQUEST = 20;

/**
 * Returns a generous estimate of the usage besides the GPU: three looked-up parts, two donors, one entry of
 * four write units. Together it costs a fraction of a GPU second.
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

function basisOf(generate: UsageRecord | undefined, book: PriceBook): CostBasis {
  const machine = generate === undefined ? null : billedMachine(generate, book);
  if (machine === null) return { ...referenceMachine(book), isReference: true };
  return { ...machine, isReference: generate?.purchaseOption === 'embedded' };
}

function machinesOf(worked: readonly LedgerLine[], book: PriceBook): CostBasis[] {
  const machines = worked.map(({ record }) => basisOf(record, book));
  return [
    ...new Map(
      machines.map((machine) => [`${machinePriceId(machine)} ${machine.isReference}`, machine]),
    ).values(),
  ];
}

function referenceMachine({ reference }: PriceBook): Machine {
  return { instanceType: reference.instanceType, purchaseOption: reference.purchaseOption };
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
