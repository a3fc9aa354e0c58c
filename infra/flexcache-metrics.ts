import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Pool } from '#core/generation.ts';
import {
  METRIC_DIMENSIONS,
  METRIC_NAMESPACE,
  METRICS,
  REASON_DIMENSION,
  type MetricName,
} from '#core/metric-names.ts';

/** Period of the dashboard's graphs. */
export const FINE_PERIOD = Duration.minutes(5);

/** Returns a FlexCache metric of a pool. */
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

/** Returns a FlexCache metric with one line per combination of hit, model and pool. */
export function metricByHit(
  name: MetricName,
  statistic: 'Sum' | 'Average' | 'p90',
): cloudwatch.MathExpression {
  return metricBy(METRIC_DIMENSIONS, name, statistic, FINE_PERIOD);
}

/** Returns a FlexCache metric with one line per eviction reason. */
export function metricByReason(name: MetricName, period: Duration): cloudwatch.MathExpression {
  return metricBy([REASON_DIMENSION], name, 'Sum', period);
}

function metricBy(
  dimensions: readonly string[],
  name: MetricName,
  statistic: string,
  period: Duration,
): cloudwatch.MathExpression {
  return new cloudwatch.MathExpression({
    expression: `SEARCH('{${METRIC_NAMESPACE},${dimensions.join(',')}} MetricName="${METRICS[name].name}"', '${statistic}', ${period.toSeconds()})`,
    usingMetrics: {},
    period,
    label: '',
  });
}

/** Returns a FlexCache metric without dimensions. */
export function undividedMetric(
  name: MetricName,
  options: Pick<cloudwatch.MetricOptions, 'statistic' | 'period' | 'label'>,
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: METRIC_NAMESPACE,
    metricName: METRICS[name].name,
    period: FINE_PERIOD,
    ...options,
  });
}

/** Returns the number of machines in the interactive pool. */
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
