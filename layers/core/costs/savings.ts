import { equivalentsOf, equivalentsRun } from '../planning/equivalents.ts';
import type { Job, ReplacedWork, UsageRecord } from '../generation.ts';
import { priceOf, quantityOf, type Quantity } from '../pricing/money.ts';
import { machinePriceId, priceIn, type PriceBook } from '../pricing/prices.ts';
import { billedMachine, gpuHours } from './usage-cost.ts';

/** Maximum plausible network evaluations of one video. */
export const MAX_EVALUATIONS = 1_000_000;

/**
 * Computes the savings, pico-dollars, from the evaluations that reuse skipped; 0 if their duration is unknown.
 *
 * @param useful records of the workers that generated the video; empty for an exact hit
 */
export function savedBy(
  { result }: Pick<Job, 'result'>,
  useful: readonly UsageRecord[],
  book: PriceBook,
): bigint {
  if (result === undefined) return 0n;
  const fullSteps = exact(result.fullSteps, 'result.fullSteps');
  if (useful.length === 0) return savedByVideo(result.replaced, fullSteps, book);
  // After a takeover each worker ran only some of the steps; savings count from all of them.
  const run = exact(equivalentsRun(result), 'result.equivalentsRun');
  const skipped = atLeastZero(fullSteps - run);
  const timed = useful.filter(({ networkEvaluations = 0 }) => networkEvaluations > 0);
  const evaluations = timed.reduce(
    (sum, record) => sum + exact(equivalentsOf(record), 'evaluationEquivalents'),
    0n,
  );
  // Weighted by each machine's share of the evaluations, at its own speed and price.
  return timed.reduce((sum, record) => {
    const { value, scale } = denoiseHours(record);
    const hour = priceIn(book, machinePriceId(billedMachine(record, book)!)).amount;
    return sum + priceOf(hour, { value: value * skipped, scale: scale * evaluations });
  }, 0n);
}

/** Computes the savings of an exact hit: its measured work, scaled to a full generation. */
function savedByVideo(
  replaced: ReplacedWork | undefined,
  fullSteps: bigint,
  book: PriceBook,
): bigint {
  if (replaced === undefined || replaced.networkEvaluations === 0) return 0n;
  const evaluations = exact(replaced.networkEvaluations, 'networkEvaluations');
  const skipped = atLeastZero(fullSteps - evaluations);
  const seconds = gpuHours(replaced.gpuSeconds, 'gpuSeconds');
  const denoise = denoiseHours(replaced);
  // seconds + skipped * denoise / evaluations, over one denominator
  return priceOf(priceIn(book, machinePriceId(book.reference)).amount, {
    value: seconds.value * denoise.scale * evaluations + skipped * denoise.value * seconds.scale,
    scale: seconds.scale * denoise.scale * evaluations,
  });
}

/** Returns the denoiser's time; if not measured, all GPU time, which is nearly the same. */
function denoiseHours({
  denoiseSeconds,
  gpuSeconds,
}: Pick<UsageRecord, 'denoiseSeconds' | 'gpuSeconds'>): Quantity {
  return gpuHours(denoiseSeconds ?? gpuSeconds, 'denoiseSeconds');
}

function atLeastZero(count: bigint): bigint {
  return count > 0n ? count : 0n;
}

/** Converts to thousandths of evaluations of all tokens. */
function exact(count: number, field: string): bigint {
  const { value, scale } = quantityOf(count, field, MAX_EVALUATIONS);
  return (value * 1000n) / scale;
}
