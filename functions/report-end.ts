import { costOfJob } from '#core/cost.ts';
import type { Job } from '#core/generation.ts';
import { hasEnded } from '#core/has-ended.ts';
import { videoIdOfExecution } from '#core/identity.ts';
import { PICO_USD_PER_USD } from '#core/money.ts';
import type { PriceBook } from '#core/prices.ts';
import type { Table } from '#stores/table.ts';
import type { MetricName } from '#core/metric-names.ts';
import type { EndedExecution } from './states.ts';
import type { Telemetry } from './telemetry.ts';

/** What Commit and Fail are called with. */
export type EndingInput = { request: { videoId: string } } | Pick<EndedExecution, 'execution'>;

export interface ReportServices {
  table: Pick<Table, 'getJob'>;
  telemetry: Telemetry;
  /** Name of the model package; null in a function that completes no job. */
  model: string | null;
  /** Null where the region's prices are not known: then nothing is said of dollars. */
  priceBook: PriceBook | null;
}

/**
 * The handler, Commit's or Fail's, with the metrics of the job that it ends. A call that finds the
 * job ended already counts nothing: retries and the rule for ended executions come again.
 */
export function reportingEnd<Input extends EndingInput, Output>(
  services: ReportServices,
  handle: (input: Input) => Promise<Output>,
): (input: Input) => Promise<Output> {
  const { table, telemetry } = services;
  /** A metric less must neither stop nor undo the end of a job. */
  const unlessItFails = async (videoId: string, report: () => Promise<void>): Promise<void> => {
    try {
      await report();
    } catch (error) {
      telemetry.log({ level: 'warn', event: 'metrics_missing', videoId, error });
    }
  };
  return async (input) => {
    const videoId =
      'execution' in input ? videoIdOfExecution(input.execution) : input.request.videoId;
    let isUnderWay = false;
    await unlessItFails(videoId, async () => {
      const job = await table.getJob(videoId);
      isUnderWay = job !== null && !hasEnded(job);
    });
    const output = await handle(input);
    if (isUnderWay) {
      await unlessItFails(videoId, async () => {
        const job = await table.getJob(videoId);
        if (job !== null) reportEnd(services, job);
      });
    }
    return output;
  };
}

function reportEnd({ telemetry, model, priceBook }: ReportServices, job: Job): void {
  const { pool, videoId, status, result } = job;
  if (status === 'failed') telemetry.measure({ failures: 1 }, { pool });
  if (status !== 'completed' || result === undefined || model === null) return;
  const { hit, stepsRun, fullSteps, latentBytes, seconds } = result;
  const gpuSeconds = job.usage.reduce((sum, record) => sum + (record.gpuSeconds ?? 0), 0);
  const amounts: Partial<Record<MetricName, number>> = {
    videos: 1,
    skippedShare: 1 - stepsRun / fullSteps,
    gpuSeconds,
    queueWait: seconds.queue,
    latentBytes,
  };
  if (priceBook !== null) {
    const { total, saved } = costOfJob(job, priceBook);
    amounts.dollars = dollars(total);
    amounts.dollarsSaved = dollars(saved);
  }
  telemetry.measure(amounts, { hit, model, pool });
  telemetry.measure(amounts, { pool });
  telemetry.log({ level: 'info', event: 'video_completed', videoId, hit, stepsRun, fullSteps });
}

/** CloudWatch counts in floating point; the books do not. */
function dollars(amount: bigint): number {
  return Number(amount) / Number(PICO_USD_PER_USD);
}
