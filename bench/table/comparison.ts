import { dollarRates } from '#core/costs/charges.ts';
import { DEFAULT_PRICE_REGION, priceBookOf } from '#core/pricing/prices.ts';
import { machinePriceId } from '#core/pricing/price-ids.ts';
import { createRandomSource } from '#core/random.ts';
import { BYTES_PER_GB } from '#core/costs/storage-tier.ts';
import {
  bootstrapEstimate,
  quantileOf,
  standardDeviation,
  TWO_SIDED_95,
  type Estimate,
} from '#core/statistics/intervals.ts';
import { drawUniform } from '#simulation/traces/draw.ts';
import type { RowResult } from './result.ts';
import type { Timing } from './timing.ts';

/** Quality of a row beside another on the same requests; positive is worse. */
export interface QualityLoss {
  /** Relative loss of adherence. */
  adherence: Estimate;
  /** Relative growth of the Frechet distance; null without one, or of other requests. */
  frechet: Estimate | null;
  requests: number;
}

/** Compares two rows on the requests that both have. */
export function qualityLoss(row: RowResult, reference: RowResult): QualityLoss | null {
  const own = sharesByIndex(row);
  const others = sharesByIndex(reference);
  const common = [...own.keys()].filter((index) => others.has(index));
  if (common.length < 2) return null;
  const full = common.reduce((sum, index) => sum + others.get(index)!, 0) / common.length;
  const differences = common.map((index) => (others.get(index)! - own.get(index)!) / full);
  return {
    adherence: bootstrapEstimate(differences),
    frechet: frechetGrowth(row, reference),
    requests: common.length,
  };
}

function frechetGrowth(
  { frechet: own }: RowResult,
  { frechet: other }: RowResult,
): Estimate | null {
  if (own === null || other === null || own.samples !== other.samples) return null;
  const differences = own.influence.map((value, index) => value - other.influence[index]!);
  const error = standardDeviation(differences) / Math.sqrt(differences.length);
  const half = (TWO_SIDED_95 * error) / other.distance;
  const mean = own.distance / other.distance - 1;
  return { mean, low: mean - half, high: mean + half };
}

/** Adherence of each request whose prompt names something and whose video was made, by its place in the trace. */
function sharesByIndex({ row, requests }: RowResult): Map<number, number> {
  const shares = new Map<number, number>();
  if (row.isShuffled) return shares;
  for (const [place, index] of requests.index.entries()) {
    const asked = Number(requests.asked[place]);
    if (requests.hits[place] === 'e' || asked === 0) continue;
    shares.set(index, Number(requests.right[place]) / asked);
  }
  return shares;
}

/** Mean adherence of all videos that were made, with its interval. */
export function adherenceOfRow({ requests }: RowResult): Estimate {
  const shares: number[] = [];
  for (const [place, hit] of [...requests.hits].entries()) {
    const asked = Number(requests.asked[place]);
    if (hit !== 'e' && asked > 0) shares.push(Number(requests.right[place]) / asked);
  }
  return bootstrapEstimate(shares);
}

/** What a worker that makes one video at a time does with the requests of a row. */
export interface Service {
  /** Mean of all requests; an exact answer takes the worker nothing. */
  seconds: number;
  perHour: number;
  /** Seconds from arrival to the end, when requests come at random and keep the worker busy 70 % of the time. */
  latency: { p50: number; p95: number };
}

const LOAD = 0.7;
/** How often the requests are gone through; arrivals differ each time. */
const ROUNDS = 20;

export function serviceOf({ row, requests }: RowResult, timing: Timing): Service {
  const services = [...requests.hits].map((hit, place) => {
    if (hit === 'e') return 0;
    const donors = hit === 'm' ? 0 : hit === 'p' ? 2 : 1;
    const reading = row.kind === 'ours' ? donors * timing.donor : 0;
    return timing.fixed + reading + timing.evaluation * requests.equivalents[place]!;
  });
  const seconds = services.reduce((sum, value) => sum + value, 0) / services.length;
  return { seconds, perHour: 3600 / seconds, latency: latencyOf(services, LOAD / seconds) };
}

/** One queue, one worker, Poisson arrivals; the requests in their order. */
export function latencyOf(
  services: readonly number[],
  arrivalsPerSecond: number,
): { p50: number; p95: number } {
  const random = createRandomSource(1, 'arrivals');
  const latencies: number[] = [];
  let arrival = 0;
  let free = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const service of services) {
      arrival -= Math.log(1 - drawUniform(random)) / arrivalsPerSecond;
      free = Math.max(free, arrival) + service;
      latencies.push(free - arrival);
    }
  }
  latencies.sort((one, other) => one - other);
  return { p50: quantileOf(latencies, 0.5), p95: quantileOf(latencies, 0.95) };
}

/** Dollars of 1,000 requests. */
export interface Dollars {
  gpu: number;
  /** A month of what they leave behind, and the requests of the object store. */
  storage: number;
}

export function dollarsOf(result: RowResult, { seconds }: Service): Dollars {
  const { holdings, requests, videos } = result;
  const book = priceBookOf(DEFAULT_PRICE_REGION);
  const rates = dollarRates(book);
  const per1000 = 1000 / requests.index.length;
  const hits = [...requests.hits].filter((hit) => hit !== 'm' && hit !== 'e');
  const reads = hits.reduce((sum, hit) => sum + (hit === 'p' ? 2 : 1), 0);
  const puts = holdings.entries > 0 ? Math.min(holdings.entries, videos) : 0;
  return {
    gpu: (1000 * seconds * rates(machinePriceId(book.reference))) / 3600,
    storage:
      per1000 *
      ((holdings.bytes / BYTES_PER_GB) * rates('s3.storage.standard') +
        puts * rates('s3.put-request') +
        reads * rates('s3.get-request')),
  };
}
