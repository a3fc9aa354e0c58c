import { TaskFailure } from './engine-task-failure.ts';
import type { ExecutionOutcome } from './embedded-machine.ts';

/** An execution that another one ran and waited for (`states:startExecution.sync:2`). */
export interface NestedExecution {
  name: string;
  input: unknown;
  startedAt: Date;
}

const STATE_MACHINE = 'generate';

/** What the waiting state gets of one that succeeded: input and output as JSON, not as text. */
export function nestedOutput(execution: NestedExecution, output: unknown): object {
  return {
    ...describe(execution),
    Input: execution.input,
    Output: output,
    OutputDetails: { Included: true },
    Status: 'SUCCEEDED',
  };
}

/** What the waiting state fails with, the end of the execution inside the cause. */
export function nestedFailure(execution: NestedExecution, outcome: ExecutionOutcome): TaskFailure {
  const reason = outcome.status === 'FAILED' ? { Error: outcome.error, Cause: outcome.cause } : {};
  const cause = {
    ...reason,
    ...describe(execution),
    Input: JSON.stringify(execution.input),
    Status: outcome.status,
  };
  return new TaskFailure('States.TaskFailed', JSON.stringify(cause));
}

/** What it fails with when the name belongs to an execution of another input. */
export function nameTaken(message: string): TaskFailure {
  return new TaskFailure('StepFunctions.ExecutionAlreadyExistsException', message);
}

function describe({ name, startedAt }: NestedExecution): object {
  const prefix = 'arn:aws:states:local:000000000000';
  return {
    ExecutionArn: `${prefix}:execution:${STATE_MACHINE}:${name}`,
    InputDetails: { Included: true },
    Name: name,
    StartDate: startedAt.getTime(),
    StateMachineArn: `${prefix}:stateMachine:${STATE_MACHINE}`,
    StopDate: Date.now(),
  };
}
