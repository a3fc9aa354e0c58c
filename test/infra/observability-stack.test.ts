import { Match, type Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { METRICS, METRIC_NAMESPACE } from '#core/metric-names.ts';
import { synthesizeStacks, templateOf } from './stack-template.ts';

/** Metrics that a dashboard may show before it is no longer free. */
const FREE_METRICS = 50;

interface Widget {
  properties: { title?: string; metrics?: unknown[][] };
}

interface Alarm {
  ComparisonOperator: string;
  TreatMissingData: string;
  AlarmActions?: unknown[];
  AlarmDescription: string;
  Metrics?: { Expression?: string; MetricStat?: { Metric: Record<string, unknown> } }[];
}

function synthesize(context: Record<string, unknown> = {}): Template {
  return templateOf(synthesizeStacks(context), 'FlexCacheObservability');
}

let template: Template;
let shown: Template;

beforeAll(() => {
  template = synthesize();
  shown = synthesize({ dashboard: 'true' });
}, 180_000);

function widgetsOf(found: Template): Widget[] {
  const [dashboard] = Object.values(found.findResources('AWS::CloudWatch::Dashboard'));
  const [, parts] = dashboard!['Properties'].DashboardBody['Fn::Join'] as [string, unknown[]];
  const body = parts.map((part) => (typeof part === 'string' ? part : 'REFERENCE')).join('');
  return (JSON.parse(body) as { widgets: Widget[] }).widgets;
}

function alarmsOf(found: Template): [id: string, alarm: Alarm][] {
  return Object.entries(found.findResources('AWS::CloudWatch::Alarm')).map(
    ([logicalId, { Properties: properties }]) => [
      logicalId.replace(/[0-9A-F]{8}$/, ''),
      properties as Alarm,
    ],
  );
}

describe('the dashboard', () => {
  it('is not there unless it is asked for: it is paid for', () => {
    // Assess
    template.resourceCountIs('AWS::CloudWatch::Dashboard', 0);
    shown.resourceCountIs('AWS::CloudWatch::Dashboard', 1);
  });

  it('shows what the cache saves, what the machines do, what waits, what it costs, what breaks', () => {
    // Assess
    expect(widgetsOf(shown).map(({ properties }) => properties.title)).toEqual([
      'Alarms',
      'Videos by hit',
      'Share of denoising skipped',
      'Dollars spent and saved',
      'Cache size',
      'Rent of the cache',
      'Evictions by reason',
      'GPU seconds per video',
      'Machines and busy seconds',
      'Cold starts',
      'Queues',
      'Waiting',
      'Webhook events',
      'API',
      'Failed videos and lost leases',
      'Errors of functions and executions',
    ]);
  });

  it('names no more metrics than are free, and none of ours that nobody publishes', () => {
    // Prepare
    const metrics = widgetsOf(shown).flatMap(({ properties }) => properties.metrics ?? []);
    const ours = metrics
      .filter(([namespace]) => namespace === METRIC_NAMESPACE)
      .map(([, name]) => name);

    // Assess
    expect(metrics.length).toBeLessThanOrEqual(FREE_METRICS);
    expect(ours.length).toBeGreaterThan(10);
    const published = Object.values(METRICS).map(({ name }) => name);
    for (const name of ours) expect(published).toContain(name);
  });
});

describe('alarms', () => {
  it('are raised by what needs somebody, and not by silence', () => {
    // Prepare
    const alarms = alarmsOf(template);

    // Assess
    expect(alarms.map(([id]) => id).sort()).toEqual([
      'BackfillWaits',
      'DeadLetters',
      'Failures',
      'IdleGpuHours',
      'InteractiveWaits',
      'LeaseConflicts',
    ]);
    for (const [, alarm] of alarms) {
      expect(alarm).toMatchObject({
        ComparisonOperator: 'GreaterThanThreshold',
        TreatMissingData: 'notBreaching',
      });
      expect(alarm.AlarmDescription.length).toBeGreaterThan(40);
    }
  });

  it('count failed videos against those that were made', () => {
    // Prepare
    const [, failures] = alarmsOf(template).find(([id]) => id === 'Failures')!;
    const expression = failures.Metrics!.find((metric) => metric.Expression)!.Expression!;

    // Act
    const percent = (failed: number, made: number): number =>
      Function(
        'FILL',
        'IF',
        'failed',
        'made',
        `return ${expression}`,
      )(
        (value: number) => value,
        (condition: boolean, yes: number, no: number) => (condition ? yes : no),
        failed,
        made,
      ) as number;

    // Assess
    expect(percent(2, 0)).toBe(0);
    expect(percent(5, 15)).toBe(25);
  });

  it('tell nobody until somebody is named, and then of every one', () => {
    // Act
    const told = synthesize({ alarmEmail: 'ops@example.com' });

    // Assess
    template.resourceCountIs('AWS::SNS::Topic', 0);
    for (const [, alarm] of alarmsOf(template)) expect(alarm.AlarmActions).toBeUndefined();
    told.hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'email',
      Endpoint: 'ops@example.com',
    });
    for (const [, alarm] of alarmsOf(told)) expect(alarm.AlarmActions).toHaveLength(1);
  });
});

describe('the budget', () => {
  it('warns whoever is told of alarms, before and when it is used up', () => {
    // Act
    const told = synthesize({ alarmEmail: 'ops@example.com', monthlyBudgetUsd: '40' });

    // Assess
    template.resourceCountIs('AWS::Budgets::Budget', 0);
    told.hasResourceProperties('AWS::Budgets::Budget', {
      Budget: Match.objectLike({
        BudgetLimit: { Amount: 40, Unit: 'USD' },
        CostFilters: { TagKeyValue: ['user:project$flexcache'] },
      }),
      NotificationsWithSubscribers: [
        Match.objectLike({ Notification: Match.objectLike({ Threshold: 80 }) }),
        Match.objectLike({ Notification: Match.objectLike({ Threshold: 100 }) }),
      ],
    });
  });
});
