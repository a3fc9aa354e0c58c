import { Duration, type Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { POOLS, type Pool } from '#core/generation.ts';
import { machinesInService, poolMetric, undividedMetric } from './flexcache-metrics.ts';
import type { ObservedStacks } from './observability-stack.ts';
import { settingsOf } from './settings.ts';

/** Longer than a machine takes to boot and pull its image, shorter than the 30-minute limit of the workflow. */
const MAX_WAIT = Duration.minutes(20);

/** Failed share of the videos that ended in 15 minutes, and the minimum number of failures. */
const FAILURE_PERCENT = 10;
const FAILURES_THAT_COUNT = 3;

/** Donors lost in five minutes. Each costs another lookup. */
const LEASE_CONFLICTS = 50;

const HOURS_PER_DAY = 24;
const SECONDS_PER_HOUR = 3600;

interface AlarmProps {
  description: string;
  metric: cloudwatch.IMetric;
  /** Fires above it. */
  threshold: number;
  periods?: number;
}

/** Creates the alarms. Ten alarm metrics are free; these use eight. */
export function createAlarms(stack: Stack, observed: ObservedStacks): cloudwatch.Alarm[] {
  const { storage, gpu } = observed;
  const alarm = (id: string, { description, metric, threshold, periods = 1 }: AlarmProps) =>
    new cloudwatch.Alarm(stack, id, {
      alarmDescription: description,
      metric,
      threshold,
      evaluationPeriods: periods,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      // Usually there are no videos and no data.
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
  const waiting = (pool: Pool) =>
    alarm(pool === 'interactive' ? 'InteractiveWaits' : 'BackfillWaits', {
      description: `A video of the ${pool} pool has waited ${MAX_WAIT.toMinutes()} minutes for a worker: check the GPU quotas, and whether workers start and stay healthy`,
      metric: storage.work[pool].queue.metricApproximateAgeOfOldestMessage({
        statistic: 'Maximum',
        period: Duration.minutes(5),
      }),
      threshold: MAX_WAIT.toSeconds(),
      periods: 2,
    });
  return [
    alarm('DeadLetters', {
      description:
        'Workers crashed on a request, the end of a job was lost, or webhook events could not be delivered: the log of the fleet function has details and the action taken',
      metric: undividedMetric('deadLetters', { statistic: 'Sum', period: Duration.minutes(15) }),
      threshold: 0,
    }),
    ...POOLS.map(waiting),
    alarm('Failures', {
      description: `More than ${FAILURE_PERCENT} % of the videos fail: the log of the fail function has the reasons`,
      metric: failurePercent(),
      threshold: FAILURE_PERCENT,
    }),
    alarm('LeaseConflicts', {
      description: 'Lookups keep losing donors to other processes: check evictions',
      metric: undividedMetric('leaseConflicts', {
        statistic: 'Sum',
        period: Duration.minutes(5),
      }),
      threshold: LEASE_CONFLICTS,
      periods: 3,
    }),
    alarm('IdleGpuHours', {
      description:
        'GPU machines ran idle: check idleMinutes, and whether workers start and receive their messages',
      metric: idleGpuHours(gpu.interactive.machines.autoScalingGroupName),
      threshold: settingsOf(stack).idleGpuHoursAlarm,
    }),
  ];
}

function failurePercent(): cloudwatch.MathExpression {
  const options = { statistic: 'Sum', period: Duration.minutes(15) };
  const [failed, made] = ['FILL(failed, 0)', 'FILL(made, 0)'];
  return new cloudwatch.MathExpression({
    expression: `IF(${failed} >= ${FAILURES_THAT_COUNT}, 100 * ${failed} / (${failed} + ${made}), 0)`,
    usingMetrics: {
      failed: undividedMetric('failures', options),
      made: undividedMetric('videos', options),
    },
    period: options.period,
    label: 'failed videos, %',
  });
}

/** Returns the hours per day that interactive machines ran without generating videos. */
function idleGpuHours(autoScalingGroupName: string): cloudwatch.MathExpression {
  const period = Duration.days(1);
  return new cloudwatch.MathExpression({
    expression: `FILL(machines, 0) * ${HOURS_PER_DAY} - FILL(busy, 0) / ${SECONDS_PER_HOUR}`,
    usingMetrics: {
      machines: machinesInService(autoScalingGroupName, period),
      busy: poolMetric('gpuSeconds', 'interactive', { statistic: 'Sum', period }),
    },
    period,
    label: 'idle GPU hours per day',
  });
}
