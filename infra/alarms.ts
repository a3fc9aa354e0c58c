import { Duration, type Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { POOLS, type Pool } from '#core/generation.ts';
import { machinesInService, poolMetric, undividedMetric } from './flexcache-metrics.ts';
import type { ObservedStacks } from './observability-stack.ts';
import { settingsOf } from './settings.ts';

/** A machine boots and fetches its image in less, and the workflow gives up after 30 minutes. */
const LONGEST_WAIT = Duration.minutes(20);

/** Failed videos of all that ended in a quarter of an hour; fewer than these say nothing. */
const FAILURE_PERCENT = 10;
const FAILURES_THAT_COUNT = 3;

/** Donors that were wanted and not had, in five minutes. Each costs a further look. */
const LEASE_CONFLICTS = 50;

const HOURS_PER_DAY = 24;
const SECONDS_PER_HOUR = 3600;

interface AlarmProps {
  description: string;
  metric: cloudwatch.IMetric;
  /** Raised above it. */
  threshold: number;
  periods?: number;
}

/** What somebody should be told of. Ten metrics of alarms are free; these are eight. */
export function createAlarms(stack: Stack, observed: ObservedStacks): cloudwatch.Alarm[] {
  const { storage, gpu } = observed;
  const alarm = (id: string, { description, metric, threshold, periods = 1 }: AlarmProps) =>
    new cloudwatch.Alarm(stack, id, {
      alarmDescription: description,
      metric,
      threshold,
      evaluationPeriods: periods,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      // Nothing to make is the usual state.
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
  const waiting = (pool: Pool) =>
    alarm(pool === 'interactive' ? 'InteractiveWaits' : 'BackfillWaits', {
      description: `A video of the ${pool} pool has waited ${LONGEST_WAIT.toMinutes()} minutes for a worker: look at the quotas for GPU machines, and whether workers start and stay healthy`,
      metric: storage.work[pool].queue.metricApproximateAgeOfOldestMessage({
        statistic: 'Maximum',
        period: Duration.minutes(5),
      }),
      threshold: LONGEST_WAIT.toSeconds(),
      periods: 2,
    });
  return [
    alarm('DeadLetters', {
      description:
        'Workers ended on a request before they could say why, an end of a job was lost, or announcements were given up: the log of the fleet function says which, and what was done about it',
      metric: undividedMetric('deadLetters', { statistic: 'Sum', period: Duration.minutes(15) }),
      threshold: 0,
    }),
    ...POOLS.map(waiting),
    alarm('Failures', {
      description: `More than ${FAILURE_PERCENT} % of the videos fail: the log of the fail function says why`,
      metric: failurePercent(),
      threshold: FAILURE_PERCENT,
    }),
    alarm('LeaseConflicts', {
      description: 'Look-ups keep losing their donors to others: look at what is evicted',
      metric: undividedMetric('leaseConflicts', {
        statistic: 'Sum',
        period: Duration.minutes(5),
      }),
      threshold: LEASE_CONFLICTS,
      periods: 3,
    }),
    alarm('IdleGpuHours', {
      description:
        'GPU machines were up without a video to make: look at idleMinutes, and whether workers start and take their messages',
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

/** Hours of a day that interactive machines were up, less those in which they made videos. */
function idleGpuHours(autoScalingGroupName: string): cloudwatch.MathExpression {
  const period = Duration.days(1);
  return new cloudwatch.MathExpression({
    expression: `FILL(machines, 0) * ${HOURS_PER_DAY} - FILL(busy, 0) / ${SECONDS_PER_HOUR}`,
    usingMetrics: {
      machines: machinesInService(autoScalingGroupName, period),
      busy: poolMetric('gpuSeconds', 'interactive', { statistic: 'Sum', period }),
    },
    period,
    label: 'idle GPU hours a day',
  });
}
