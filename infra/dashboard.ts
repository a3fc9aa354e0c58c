import { Duration, type Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { POOLS, type Pool } from '#core/generation.ts';
import type { MetricName } from '#core/metric-names.ts';
import {
  undividedMetric,
  FINE_PERIOD,
  machinesInService,
  metricByHit,
  metricByReason,
  poolMetric,
} from './flexcache-metrics.ts';
import type { ObservedStacks } from './observability-stack.ts';

const WIDTH = 8;
const HEIGHT = 6;

type Line = cloudwatch.IMetric;

interface GraphProps {
  title: string;
  left: Line[];
  right?: Line[];
  leftLabel: string;
  rightLabel?: string;
  stacked?: boolean;
}

/** Creates the dashboard: savings, machines, queues, costs, failures. */
export function createDashboard(
  stack: Stack,
  observed: ObservedStacks,
  alarms: cloudwatch.Alarm[],
): cloudwatch.Dashboard {
  const dashboard = new cloudwatch.Dashboard(stack, 'Dashboard', {
    defaultInterval: Duration.days(1),
    periodOverride: cloudwatch.PeriodOverride.INHERIT,
  });
  dashboard.addWidgets(
    new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms, width: 3 * WIDTH, height: 3 }),
  );
  dashboard.addWidgets(...cacheWidgets());
  dashboard.addWidgets(...retentionWidgets());
  dashboard.addWidgets(...machineWidgets(observed));
  dashboard.addWidgets(...queueWidgets(observed));
  dashboard.addWidgets(...doorWidgets(observed));
  return dashboard;
}

function cacheWidgets(): cloudwatch.GraphWidget[] {
  return [
    graph({
      title: 'Videos by hit',
      left: [metricByHit('videos', 'Sum')],
      leftLabel: 'videos',
      stacked: true,
    }),
    graph({
      title: 'Share of denoising skipped',
      left: byPool('skippedShare', 'Average'),
      right: [metricByHit('skippedShare', 'Average')],
      leftLabel: 'all, 0..1',
      rightLabel: 'by hit, 0..1',
    }),
    graph({
      title: 'Dollars spent and saved',
      left: [...byPool('dollars', 'Sum', 'spent, '), ...byPool('dollarsSaved', 'Sum', 'saved, ')],
      leftLabel: 'dollars',
    }),
  ];
}

/** Eviction passes run once a day or less often. */
const PASS_PERIOD = Duration.days(1);

function retentionWidgets(): cloudwatch.GraphWidget[] {
  const latest = { statistic: 'Maximum', period: PASS_PERIOD };
  return [
    graph({
      title: 'Cache size',
      left: [undividedMetric('entries', { ...latest, label: 'entries' })],
      right: [undividedMetric('entryBytes', { ...latest, label: 'bytes of latents' })],
      leftLabel: 'entries',
      rightLabel: 'bytes',
    }),
    graph({
      title: 'Rent of the cache',
      left: [undividedMetric('rentPerMonth', { ...latest, label: 'rent' })],
      leftLabel: 'dollars per month',
    }),
    graph({
      title: 'Evictions by reason',
      left: [metricByReason('leavingEntries', PASS_PERIOD)],
      right: [
        undividedMetric('evictedBytes', {
          statistic: 'Sum',
          period: PASS_PERIOD,
          label: 'bytes deleted',
        }),
      ],
      leftLabel: 'entries per day',
      rightLabel: 'bytes per day',
      stacked: true,
    }),
  ];
}

function machineWidgets({ gpu }: ObservedStacks): cloudwatch.GraphWidget[] {
  return [
    graph({
      title: 'GPU seconds per video',
      left: byPool('gpuSeconds', 'Average'),
      right: [metricByHit('gpuSeconds', 'Average')],
      leftLabel: 'all',
      rightLabel: 'by hit',
    }),
    graph({
      title: 'Machines and busy seconds',
      left: [machinesInService(gpu.interactive.machines.autoScalingGroupName)],
      right: byPool('gpuSeconds', 'Sum'),
      leftLabel: 'machines',
      rightLabel: 'GPU seconds in 5 minutes',
    }),
    graph({
      title: 'Cold starts',
      left: [metricByHit('coldStart', 'Average')],
      leftLabel: 'seconds until a worker is ready',
    }),
  ];
}

function queueWidgets({ storage }: ObservedStacks): cloudwatch.GraphWidget[] {
  const depth = (pool: Pool): Line[] => {
    const { queue } = storage.work[pool];
    return [
      queue.metricApproximateNumberOfMessagesVisible({ label: `${pool}, waiting` }),
      queue.metricApproximateNumberOfMessagesNotVisible({ label: `${pool}, in progress` }),
    ];
  };
  const age = (pool: Pool): Line =>
    storage.work[pool].queue.metricApproximateAgeOfOldestMessage({ label: pool });
  return [
    graph({ title: 'Queues', left: POOLS.flatMap(depth), leftLabel: 'messages' }),
    graph({
      title: 'Waiting',
      left: POOLS.map(age),
      right: byPool('queueWait', 'Average'),
      leftLabel: 'oldest message, seconds',
      rightLabel: 'of completed videos, seconds',
    }),
    graph({
      title: 'Webhook events',
      left: [
        storage.webhooks.queue.metricApproximateNumberOfMessagesVisible({ label: 'waiting' }),
        storage.webhooks.deadLetters.metricApproximateNumberOfMessagesVisible({
          label: 'undelivered',
        }),
      ],
      leftLabel: 'messages',
    }),
  ];
}

function doorWidgets({ api, workflow, retention }: ObservedStacks): cloudwatch.GraphWidget[] {
  // Functions of the state machines are covered by failed executions.
  const { fleet } = workflow.functions;
  const functions: [string, lambda.IFunction][] = [
    ['api', api.api],
    ['predict', api.predict],
    ['webhook', api.webhook],
    ['fleet', fleet],
    ['evict', retention.evict],
    ['sweep', retention.sweep],
    ['report', retention.report],
  ];
  return [
    graph({
      title: 'API',
      left: [
        api.httpApi.metricCount({ label: 'requests', statistic: 'Sum', period: FINE_PERIOD }),
        api.httpApi.metricClientError({ label: '4xx', statistic: 'Sum', period: FINE_PERIOD }),
        api.httpApi.metricServerError({ label: '5xx', statistic: 'Sum', period: FINE_PERIOD }),
      ],
      right: [api.httpApi.metricLatency({ label: 'p90', statistic: 'p90', period: FINE_PERIOD })],
      leftLabel: 'requests',
      rightLabel: 'milliseconds',
    }),
    graph({
      title: 'Failed videos and lost leases',
      left: [
        undividedMetric('failures', { statistic: 'Sum', label: 'failed' }),
        undividedMetric('leaseConflicts', { statistic: 'Sum', label: 'leases lost' }),
      ],
      leftLabel: 'in 5 minutes',
    }),
    graph({
      title: 'Errors of functions and executions',
      left: functions.map(([label, fn]) =>
        fn.metricErrors({ label, period: FINE_PERIOD, statistic: 'Sum' }),
      ),
      right: [
        workflow.generate.metricFailed({ label: 'generate failed' }),
        workflow.generate.metricTimedOut({ label: 'generate timed out' }),
        workflow.backfill.metricFailed({ label: 'backfill failed' }),
      ],
      leftLabel: 'errors',
      rightLabel: 'executions',
    }),
  ];
}

function byPool(name: MetricName, statistic: string, prefix = ''): Line[] {
  return POOLS.map((pool) => poolMetric(name, pool, { statistic, label: `${prefix}${pool}` }));
}

function graph({
  title,
  left,
  right = [],
  leftLabel,
  rightLabel = '',
  stacked = false,
}: GraphProps) {
  return new cloudwatch.GraphWidget({
    title,
    left,
    right,
    stacked,
    leftYAxis: { label: leftLabel, min: 0, showUnits: false },
    rightYAxis: { label: rightLabel, min: 0, showUnits: false },
    width: WIDTH,
    height: HEIGHT,
  });
}
