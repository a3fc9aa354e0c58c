import { ArnFormat, Duration, type Stack } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import { TRANSIENT_ERROR } from '#functions/shared/task-error.ts';

/** Transient errors of FlexCache and of the Lambda service. */
const TRANSIENT_ERRORS = [
  TRANSIENT_ERROR,
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
];

/** The account's concurrency limit: clears when other executions end, not within seconds. */
const THROTTLING_ERRORS = ['Lambda.TooManyRequestsException'];

const SPREAD_OUT: Omit<sfn.RetryProps, 'errors'> = {
  interval: Duration.seconds(1),
  maxAttempts: 4,
  backoffRate: 2,
  maxDelay: Duration.seconds(20),
  jitterStrategy: sfn.JitterType.FULL,
};

/** Retries for minutes, as long as a burst takes in a new account limited to ten concurrent executions. */
export const PATIENT: Omit<sfn.RetryProps, 'errors'> = {
  interval: Duration.seconds(2),
  maxAttempts: 10,
  backoffRate: 2,
  maxDelay: Duration.seconds(60),
  jitterStrategy: sfn.JitterType.FULL,
};

/** Margin of a task's timeout over its function's, which handles hanging functions. */
const LEEWAY = Duration.seconds(15);

export interface InvokeProps {
  stateName: string;
  lambdaFunction: lambda.Function;
  /** Path of the result in the state data; default: replaces all of it. */
  resultPath?: string;
}

/** Creates a state that invokes a function with all state data and retries transient errors. */
export function invokeState(
  scope: Construct,
  { stateName, lambdaFunction, resultPath }: InvokeProps,
): sfn.TaskStateBase {
  return retryingInvocation(
    new tasks.LambdaInvoke(scope, `${stateName}State`, {
      stateName,
      lambdaFunction,
      payloadResponseOnly: true,
      retryOnServiceExceptions: false,
      taskTimeout: sfn.Timeout.duration(lambdaFunction.timeout!.plus(LEEWAY)),
      ...(resultPath !== undefined && { resultPath }),
    }),
  );
}

/** Adds retries for transient errors. */
export function retryingInvocation(invocation: sfn.TaskStateBase): sfn.TaskStateBase {
  return invocation
    .addRetry({ errors: TRANSIENT_ERRORS, ...SPREAD_OUT })
    .addRetry({ errors: THROTTLING_ERRORS, ...PATIENT });
}

/** Routes every error of these states to a handler. */
export function catchAll(
  states: readonly (sfn.TaskStateBase | sfn.DistributedMap)[],
  handler: sfn.IChainable,
): void {
  for (const state of states) {
    state.addCatch(handler, { errors: [sfn.Errors.ALL], resultPath: '$.error' });
  }
}

/** Returns the ARN pattern of a state machine's executions. */
export function executionsOf(stack: Stack, stateMachineName: string): string {
  return stack.formatArn({
    service: 'states',
    resource: 'execution',
    resourceName: `${stateMachineName}:*`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
}
