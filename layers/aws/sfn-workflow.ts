import { isDeepStrictEqual } from 'node:util';
import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { ConditionFailedError } from '#core/errors.ts';
import type { GenerationRequest, GenerationResult } from '#core/generation.ts';
import { executionName } from '#core/requests/identity.ts';
import { awsErrorName, fromAws } from './aws-errors.ts';
import { TaskGoneError } from '#ports/errors.ts';
import type { TaskCallbacks, WorkflowLooker, WorkflowStarter } from '#ports/workflow.ts';

/** How Step Functions says that nobody waits on a token. */
const TOKEN_GONE: ReadonlySet<string> = new Set([
  'InvalidToken',
  'TaskDoesNotExist',
  'TaskTimedOut',
]);

/** Longest error name and cause that SendTaskFailure takes. */
const ERROR_CHARACTERS = 256;
const CAUSE_CHARACTERS = 32_768;

export interface SfnWorkflowStarterOptions {
  stateMachineArn: string;
  client?: SFNClient;
}

/**
 * Starts executions named by video id and attempt: a second start of the same attempt finds the first.
 *
 * @example
 * await new SfnWorkflowStarter({ stateMachineArn }).start(request, job.attempt);
 */
export class SfnWorkflowStarter implements WorkflowStarter, WorkflowLooker {
  readonly #stateMachineArn: string;
  readonly #client: SFNClient;

  constructor({ stateMachineArn, client }: SfnWorkflowStarterOptions) {
    this.#stateMachineArn = stateMachineArn;
    this.#client = client ?? new SFNClient({});
  }

  /** @throws ConditionFailedError when the name belongs to an execution of another request. */
  async start(request: GenerationRequest, attempt: number): Promise<void> {
    const name = executionName(request.videoId, attempt);
    try {
      await this.#client.send(
        new StartExecutionCommand({
          stateMachineArn: this.#stateMachineArn,
          name,
          input: JSON.stringify({ request }),
        }),
      );
    } catch (error) {
      if (!(error instanceof ExecutionAlreadyExists)) {
        throw fromAws(error, `start the workflow ${name}`);
      }
      if (!(await this.#wasStartedWith(name, request))) {
        throw new ConditionFailedError(`the workflow ${name} was started with another request`, {
          cause: error,
        });
      }
    }
  }

  /** The execution ends as aborted, and whoever listens for that ends the job. */
  async stop(videoId: string, attempt: number): Promise<void> {
    const name = executionName(videoId, attempt);
    try {
      await this.#client.send(
        new StopExecutionCommand({
          executionArn: this.#executionArn(name),
          error: 'cancelled',
          cause: 'the request was cancelled',
        }),
      );
    } catch (error) {
      if (error instanceof ExecutionDoesNotExist) return;
      throw fromAws(error, `stop the workflow ${name}`);
    }
  }

  async stateOf(videoId: string, attempt: number): Promise<'running' | 'over' | 'absent'> {
    const name = executionName(videoId, attempt);
    try {
      const { status } = await this.#client.send(
        new DescribeExecutionCommand({ executionArn: this.#executionArn(name) }),
      );
      return status === 'RUNNING' ? 'running' : 'over';
    } catch (error) {
      if (error instanceof ExecutionDoesNotExist) return 'absent';
      throw fromAws(error, `look at the workflow ${name}`);
    }
  }

  async #wasStartedWith(name: string, request: GenerationRequest): Promise<boolean> {
    try {
      const { input } = await this.#client.send(
        new DescribeExecutionCommand({ executionArn: this.#executionArn(name) }),
      );
      return isDeepStrictEqual(JSON.parse(input ?? 'null'), { request });
    } catch (error) {
      throw fromAws(error, `look at the workflow ${name}`);
    }
  }

  #executionArn(name: string): string {
    return `${this.#stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;
  }
}

/**
 * Answers of a worker to Step Functions.
 *
 * @example
 * await new SfnTaskCallbacks().sendTaskSuccess(message.taskToken, result);
 */
export class SfnTaskCallbacks implements TaskCallbacks {
  readonly #client: SFNClient;

  constructor({ client }: { client?: SFNClient } = {}) {
    this.#client = client ?? new SFNClient({});
  }

  async sendTaskSuccess(taskToken: string, output: GenerationResult): Promise<void> {
    await this.#answer(() =>
      this.#client.send(new SendTaskSuccessCommand({ taskToken, output: JSON.stringify(output) })),
    );
  }

  async sendTaskFailure(taskToken: string, error: string, cause: string): Promise<void> {
    await this.#answer(() =>
      this.#client.send(
        new SendTaskFailureCommand({
          taskToken,
          error: error.slice(0, ERROR_CHARACTERS),
          cause: cause.slice(0, CAUSE_CHARACTERS),
        }),
      ),
    );
  }

  async sendTaskHeartbeat(taskToken: string): Promise<void> {
    await this.#answer(() => this.#client.send(new SendTaskHeartbeatCommand({ taskToken })));
  }

  async #answer(send: () => Promise<unknown>): Promise<void> {
    try {
      await send();
    } catch (error) {
      if (TOKEN_GONE.has(awsErrorName(error))) throw new TaskGoneError({ cause: error });
      throw fromAws(error, 'answer the workflow');
    }
  }
}
