import type { ModelPackage } from '#models/manifest.ts';
import { deployedPrices } from './deployed-prices.ts';
import { deployedTelemetry } from './deployed-telemetry.ts';
import { reportingEnd, type EndingInput } from './report-end.ts';
import type { Services } from './services.ts';
import { observed } from './telemetry.ts';

/**
 * Commit or Fail as deployed: with a span, a line of log, and the metrics of the job that it ends.
 *
 * @param modelPackage null where no video is completed: only a completed one names its model
 */
export function deployedEnding<Input extends EndingInput, Output>(
  name: 'commit' | 'fail',
  { table }: Pick<Services, 'table'>,
  modelPackage: ModelPackage | null,
  handle: (input: Input) => Promise<Output>,
): (input: Input) => Promise<Output> {
  const telemetry = deployedTelemetry();
  const services = {
    table,
    telemetry,
    model: modelPackage?.manifest.name ?? 'none',
    priceBook: deployedPrices(),
  };
  return observed(name, telemetry, reportingEnd(services, handle));
}
