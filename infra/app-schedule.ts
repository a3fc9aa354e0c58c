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

/** What is missed is not worth catching up on: the next turn sees everything. */
const RETRIES = 2;

/** Calls a function at its times, by a role that may do nothing else. */
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
        // The target would add every version of the function.
        role: role.withoutPolicyUpdates(),
        retryAttempts: RETRIES,
      }),
    });
  }
}
