import { ArnFormat, Duration, type Stack } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import { TRANSIENT_ERROR } from '#functions/shared/task-error.ts';

/** Errors that the same call may not meet again: ours, and those of the Lambda service itself. */
const TRANSIENT_ERRORS = [
  TRANSIENT_ERROR,
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
];

/** More calls at once than the account may have: passes when others have ended, not within seconds. */
const THROTTLING_ERRORS = ['Lambda.TooManyRequestsException'];

const SPREAD_OUT: Omit<sfn.RetryProps, 'errors'> = {
  interval: Duration.seconds(1),
  maxAttempts: 4,
  backoffRate: 2,
  maxDelay: Duration.seconds(20),
  jitterStrategy: sfn.JitterType.FULL,
};

/** Minutes: a burst of a new account, which may run ten functions at once, lasts as long. */
export const PATIENT: Omit<sfn.RetryProps, 'errors'> = {
  interval: Duration.seconds(2),
  maxAttempts: 10,
  backoffRate: 2,
  maxDelay: Duration.seconds(60),
  jitterStrategy: sfn.JitterType.FULL,
};

/** A function that hangs is cut off by its own timeout; a task's is for what never reached it. */
const LEEWAY = Duration.seconds(15);

export interface InvokeProps {
  stateName: string;
  lambdaFunction: lambda.Function;
  /** Where the result goes in the state's data; in place of all of it unless given. */
  resultPath?: string;
}

/** A state that hands all of its data to a function, retried while errors may pass. */
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

/** Calls a state's function again while its errors may pass. */
export function retryingInvocation(invocation: sfn.TaskStateBase): sfn.TaskStateBase {
  return invocation
    .addRetry({ errors: TRANSIENT_ERRORS, ...SPREAD_OUT })
    .addRetry({ errors: THROTTLING_ERRORS, ...PATIENT });
}

/** Brings every error of these states to one that knows what to do about it. */
export function catchAll(
  states: readonly (sfn.TaskStateBase | sfn.DistributedMap)[],
  handler: sfn.IChainable,
): void {
  for (const state of states) {
    state.addCatch(handler, { errors: [sfn.Errors.ALL], resultPath: '$.error' });
  }
}

/** Every execution of a state machine. */
export function executionsOf(stack: Stack, stateMachineName: string): string {
  return stack.formatArn({
    service: 'states',
    resource: 'execution',
    resourceName: `${stateMachineName}:*`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
}
