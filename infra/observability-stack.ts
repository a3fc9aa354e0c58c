import { Stack, type StackProps } from 'aws-cdk-lib';
import * as budgets from 'aws-cdk-lib/aws-budgets';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import type { ApiStack } from './api-stack.ts';
import { createAlarms } from './alarms.ts';
import { createDashboard } from './dashboard.ts';
import type { GpuStack } from './gpu-stack.ts';
import type { RetentionStack } from './retention-stack.ts';
import { settingsOf } from './settings.ts';
import type { StorageStack } from './storage-stack.ts';
import type { WorkflowStack } from './workflow-stack.ts';

/** Stacks with metrics. */
export interface ObservedStacks {
  storage: StorageStack;
  gpu: GpuStack;
  workflow: WorkflowStack;
  retention: RetentionStack;
  api: ApiStack;
}

export interface ObservabilityStackProps extends StackProps {
  observed: ObservedStacks;
}

/** Shares of the monthly budget that trigger an email: of actual and of forecast costs. */
const SPENT_PERCENT = 80;
const FORECAST_PERCENT = 100;

/** Alarms, budget and dashboard. */
export class ObservabilityStack extends Stack {
  /** Null unless enabled by the settings. */
  readonly dashboard: cloudwatch.Dashboard | null;
  readonly alarms: cloudwatch.Alarm[];

  constructor(scope: Construct, id: string, { observed, ...props }: ObservabilityStackProps) {
    super(scope, id, props);
    const { alarmEmail, monthlyBudgetUsd, dashboard } = settingsOf(this);
    this.alarms = createAlarms(this, observed);
    this.dashboard = dashboard ? createDashboard(this, observed, this.alarms) : null;
    if (alarmEmail === null) return;
    this.#tellOfAlarms(alarmEmail);
    if (monthlyBudgetUsd !== null) this.#tellOfBudget(alarmEmail, monthlyBudgetUsd);
  }

  #tellOfAlarms(email: string): void {
    const topic = new sns.Topic(this, 'AlarmTopic', {
      displayName: 'FlexCache alarms',
      enforceSSL: true,
    });
    topic.addSubscription(new subscriptions.EmailSubscription(email));
    for (const alarm of this.alarms) alarm.addAlarmAction(new actions.SnsAction(topic));
  }

  #tellOfBudget(address: string, amount: number): void {
    const notify = (notificationType: 'ACTUAL' | 'FORECASTED', threshold: number) => ({
      notification: {
        notificationType,
        comparisonOperator: 'GREATER_THAN',
        threshold,
        thresholdType: 'PERCENTAGE',
      },
      subscribers: [{ subscriptionType: 'EMAIL', address }],
    });
    new budgets.CfnBudget(this, 'Budget', {
      budget: {
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount, unit: 'USD' },
        // Matches nothing until the tag is activated for cost allocation.
        costFilters: { TagKeyValue: ['user:project$flexcache'] },
      },
      notificationsWithSubscribers: [
        notify('ACTUAL', SPENT_PERCENT),
        notify('FORECASTED', FORECAST_PERCENT),
      ],
    });
  }
}
