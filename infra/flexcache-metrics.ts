import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Pool } from '#core/generation.ts';
import {
  METRIC_DIMENSIONS,
  METRIC_NAMESPACE,
  METRICS,
  type MetricName,
} from '#core/metric-names.ts';

/** Of what the dashboard draws. */
export const FINE_PERIOD = Duration.minutes(5);

/** One of our own metrics, of a pool. */
export function poolMetric(
  name: MetricName,
  pool: Pool,
  options: Pick<cloudwatch.MetricOptions, 'statistic' | 'period' | 'label'>,
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: METRIC_NAMESPACE,
    metricName: METRICS[name].name,
    dimensionsMap: { pool },
    period: FINE_PERIOD,
    ...options,
  });
}

/** One of our own metrics, a line for each combination of hit, model and pool that there is. */
export function metricByHit(
  name: MetricName,
  statistic: 'Sum' | 'Average' | 'p90',
): cloudwatch.MathExpression {
  const dimensions = METRIC_DIMENSIONS.join(',');
  return new cloudwatch.MathExpression({
    expression: `SEARCH('{${METRIC_NAMESPACE},${dimensions}} MetricName="${METRICS[name].name}"', '${statistic}', ${FINE_PERIOD.toSeconds()})`,
    usingMetrics: {},
    period: FINE_PERIOD,
    label: '',
  });
}

/** Machines of the interactive pool. */
export function machinesInService(
  autoScalingGroupName: string,
  period: Duration = FINE_PERIOD,
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: 'AWS/AutoScaling',
    metricName: 'GroupInServiceInstances',
    dimensionsMap: { AutoScalingGroupName: autoScalingGroupName },
    statistic: 'Average',
    period,
    label: 'interactive machines',
  });
}
