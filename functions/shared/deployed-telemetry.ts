import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { METRIC_NAMESPACE, METRICS, type MetricName } from '#core/metric-names.ts';
import type { Telemetry } from './telemetry.ts';

/** The name under which every line of log is found. */
const SERVICE = 'flexcache';

/** Telemetry of a deployed function: lines of JSON on standard output, metrics among them. */
export function deployedTelemetry(): Telemetry {
  const logger = new Logger({ serviceName: SERVICE });
  const metrics = new Metrics({ namespace: METRIC_NAMESPACE });
  // Powertools adds the service's name as a dimension; there is one service.
  metrics.clearDefaultDimensions();
  return {
    log({ level, event, error, ...details }) {
      logger[level](event, { ...details, ...(error !== undefined && { error: asError(error) }) });
    },
    measure(amounts, dimensions) {
      // One set, be it an empty one: without any set CloudWatch makes no metric.
      metrics.addDimensions(dimensions as Record<string, string>);
      for (const [name, amount] of Object.entries(amounts) as [MetricName, number][]) {
        const metric = METRICS[name];
        metrics.addMetric(metric.name, MetricUnit[metric.unit], amount);
      }
      metrics.publishStoredMetrics();
    },
  };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
