import type { ModelPackage } from '#models/manifest.ts';
import { deployedPrices } from './deployed-prices.ts';
import { deployedTelemetry } from './deployed-telemetry.ts';
import type { EndingServices } from './end-job.ts';
import { endReporter } from './report-end.ts';
import { deployedJobEnd, deployedTable } from './services.ts';
import type { Telemetry } from './telemetry.ts';

/**
 * What Commit and Fail end jobs with as deployed: with the metrics of each job that they end.
 *
 * @param modelPackage null where no video is completed: only a completed one names its model
 */
export function deployedEnding(
  modelPackage: ModelPackage | null,
): EndingServices & { telemetry: Telemetry } {
  const telemetry = deployedTelemetry();
  return {
    table: deployedTable(),
    ...deployedJobEnd(),
    telemetry,
    reportEnd: endReporter({
      telemetry,
      model: modelPackage?.manifest.name ?? null,
      priceBook: deployedPrices(),
    }),
  };
}
