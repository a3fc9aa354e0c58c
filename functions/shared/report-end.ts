import { sumRounded } from '#core/costs/sum-rounded.ts';
import { costOfJob } from '#core/costs/cost.ts';
import { equivalentsRun } from '#core/planning/equivalents.ts';
import type { Job } from '#core/generation.ts';
import type { MetricName } from '#core/metric-names.ts';
import { PICO_USD_PER_USD } from '#core/pricing/money.ts';
import type { PriceBook } from '#core/pricing/prices.ts';
import { usageOfAttempt } from './backfill-line.ts';
import type { Telemetry } from './telemetry.ts';

export interface ReportServices {
  telemetry: Telemetry;
  /** Name of the model package; null in a function that completes no job. */
  model: string | null;
  /** Null where the region's prices are not known: then nothing is said of dollars. */
  priceBook: PriceBook | null;
}

/**
 * Publishes the metrics of a job that has just ended. Whoever wrote its end calls it, once: retries and
 * the rule for ended executions find the job ended and count nothing. A metric less must neither stop
 * nor undo the end of a job, so nothing is thrown.
 */
export function endReporter(services: ReportServices): (ended: Job) => void {
  return (ended) => {
    try {
      report(services, ended);
    } catch (error) {
      const { videoId } = ended;
      services.telemetry.log({ level: 'warn', event: 'metrics_missing', videoId, error });
    }
  };
}

function report({ telemetry, model, priceBook }: ReportServices, job: Job): void {
  const { pool, videoId, status, result } = job;
  // What earlier attempts took was told at their own ends.
  const usage = usageOfAttempt(job);
  const cost = priceBook && costOfJob({ ...job, usage }, priceBook);
  const waste = cost && { dollarsWasted: dollars(cost.wasted) };
  if (status === 'failed') telemetry.measure({ failures: 1 }, {});
  if (status !== 'completed' && waste !== null) telemetry.measure(waste, { pool });
  if (status !== 'completed' || result === undefined || model === null) return;
  const { hit, stepsRun, fullSteps, latentBytes, seconds } = result;
  const amounts: Partial<Record<MetricName, number>> = {
    skippedShare: 1 - equivalentsRun(result) / fullSteps,
    gpuSeconds: sumRounded(usage, ({ gpuSeconds }) => gpuSeconds),
    queueWait: seconds.queue,
    latentBytes,
    ...(cost && { dollars: dollars(cost.total), dollarsSaved: dollars(cost.saved) }),
  };
  telemetry.measure({ videos: 1 }, {});
  telemetry.measure({ videos: 1, ...amounts }, { hit, model, pool });
  telemetry.measure({ ...amounts, ...waste }, { pool });
  telemetry.log({ level: 'info', event: 'video_completed', videoId, hit, stepsRun, fullSteps });
}

/** CloudWatch counts in floating point; the books do not. */
function dollars(amount: bigint): number {
  return Number(amount) / Number(PICO_USD_PER_USD);
}
