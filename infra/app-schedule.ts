import { Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as targets from 'aws-cdk-lib/aws-scheduler-targets';
import { Construct } from 'constructs';

export interface HouseScheduleProps {
  description: string;
  /** `rate(...)` or `cron(...)`, UTC. */
  expression: string;
  function: lambda.Function;
}

/** A missed run needs no catching up: the next one covers everything. */
const RETRIES = 2;

/** Invokes a function on a schedule, with a role limited to that. */
export class AppSchedule extends Construct {
  constructor(scope: Construct, id: string, props: HouseScheduleProps) {
    super(scope, id);
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('scheduler.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    });
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['lambda:InvokeFunction'],
        resources: [props.function.functionArn],
      }),
    );
    new scheduler.Schedule(this, 'Schedule', {
      description: props.description,
      schedule: scheduler.ScheduleExpression.expression(props.expression),
      target: new targets.LambdaInvoke(props.function, {
        // Otherwise the target adds every version of the function.
        role: role.withoutPolicyUpdates(),
        retryAttempts: RETRIES,
      }),
    });
  }
}
