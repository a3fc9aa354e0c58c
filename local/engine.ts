import { isDeepStrictEqual } from 'node:util';
import {
  ExecutionAbortedError,
  ExecutionError,
  ExecutionTimeoutError,
  StateMachine,
  type RunOptions,
  type StateMachineDefinition,
} from 'aws-local-stepfunctions';
import { ConditionFailedError } from '#core/errors.ts';
import type { GenerationRequest } from '#core/generation.ts';
import { executionName } from '#core/identity.ts';
import type { GenerateMessage, WorkQueue } from '#stores/queue.ts';
import type { TaskCallbacks, WorkflowStarter } from '#stores/workflow.ts';
import { asStateOutput, TaskFailure } from './engine-task-failure.ts';
import { TaskTokens } from './engine-task-tokens.ts';

/** A deployed function's handler: an event in, a result out. */
export type FunctionHandler = (event: never) => Promise<unknown>;

export interface EngineOptions {
  /** The `generate` state machine as it would be deployed. */
  definition: object;
  /** The handler of each state that invokes a function, by the state's name. */
  handlers: Readonly<Record<string, FunctionHandler>>;
  /** Takes what the state sends that waits for a worker. */
  queue: Pick<WorkQueue, 'send'>;
  /** Called whenever a state begins its task. */
  onTask?: (videoId: string, stateName: string) => void;
  /** Pauses before retries, in milliseconds by state; for tests. */
  retryPauses?: Readonly<Record<string, number>>;
}

/** How an execution ended. */
export type ExecutionOutcome =
  | { status: 'SUCCEEDED' | 'ABORTED' | 'TIMED_OUT' }
  | { status: 'FAILED'; error: string; cause: string };

interface TaskState {
  Type: string;
  Resource?: string;
  HeartbeatSeconds?: number;
}

interface Execution {
  request: GenerationRequest;
  /** Tokens on which it waits. */
  tokens: Set<string>;
  /** Tasks in progress. */
  tasks: Set<Promise<unknown>>;
  isStopped: boolean;
  abort: () => void;
  outcome: Promise<ExecutionOutcome>;
}

type RunningExecution = Pick<Execution, 'tokens' | 'tasks' | 'isStopped'>;

const WAITS_FOR_TOKEN = 'sqs:sendMessage.waitForTaskToken';
const LAMBDA_ARN = /^arn:[\w-]+:lambda:/;

/**
 * Runs the deployed state machine in this process.
 *
 * @example
 * const engine = new EmbeddedEngine({ definition, handlers: { Embed, Lookup, Commit, Fail }, queue });
 * await engine.start(request, 1);
 * const { status } = await engine.outcome(request.videoId);
 */
export class EmbeddedEngine implements WorkflowStarter {
  readonly #machine: StateMachine;
  readonly #options: EngineOptions;
  readonly #states: Readonly<Record<string, TaskState>>;
  readonly #tokens = new TaskTokens();
  readonly #executions = new Map<string, Execution>();

  /** @throws Error when a state's task has no handler. */
  constructor(options: EngineOptions) {
    this.#options = options;
    this.#states = (options.definition as { States: Record<string, TaskState> }).States;
    this.#machine = new StateMachine(options.definition as StateMachineDefinition, {
      // Half a second at every start, for a definition that was validated when it was written.
      validationOptions: { noValidate: true },
    });
    for (const [name, state] of Object.entries(this.#states)) {
      if (state.Type === 'Task' && this.#handlerOf(name, state) === null) {
        throw new Error(`state ${name} has no handler for ${state.Resource}`);
      }
    }
  }

  /** Where workers answer. */
  get callbacks(): TaskCallbacks {
    return this.#tokens;
  }

  /**
   * Starts an execution named by video id and attempt. One of this video that is under way is found;
   * one that has ended is forgotten, so that its request may be run again.
   *
   * @throws ConditionFailedError when the video id names a running execution of another request.
   */
  async start(request: GenerationRequest, attempt: number): Promise<void> {
    const running = this.#executions.get(request.videoId);
    if (running === undefined) {
      this.#run(request, executionName(request.videoId, attempt));
    } else if (!isDeepStrictEqual(running.request, request)) {
      throw new ConditionFailedError(
        `the workflow ${request.videoId} was started with another request`,
      );
    }
  }

  /** Waits until the execution has ended; null when none of this video is under way. */
  async outcome(videoId: string): Promise<ExecutionOutcome | null> {
    return (await this.#executions.get(videoId)?.outcome) ?? null;
  }

  /** Fails what still waits for a worker; what a worker has begun is the worker's to end. */
  async stop(videoId: string): Promise<void> {
    for (const token of this.#executions.get(videoId)?.tokens ?? []) {
      this.#tokens.failUntaken(token, 'cancelled', 'the request was cancelled before it began');
    }
  }

  /** Stops every execution without ending its job; resolves when no task of theirs is in progress. */
  async close(): Promise<void> {
    const executions = [...this.#executions.values()];
    for (const execution of executions) {
      execution.isStopped = true;
      execution.abort();
      this.#abandon(execution);
    }
    await Promise.allSettled(executions.flatMap(({ tasks, outcome }) => [...tasks, outcome]));
  }

  #run(request: GenerationRequest, name: string): void {
    const { videoId } = request;
    const execution: RunningExecution = { tokens: new Set(), tasks: new Set(), isStopped: false };
    const issuer = this.#tokens;
    const { result, abort } = this.#machine.run({ request } as never, {
      overrides: {
        taskResourceLocalHandlers: this.#bind(videoId, execution),
        ...(this.#options.retryPauses && { retryIntervalOverrides: this.#options.retryPauses }),
      },
      context: {
        Execution: { Id: name, Name: name },
        // Every attempt reads a token of its own.
        Task: {
          get Token(): string {
            return issuer.issue();
          },
        },
      },
    });
    const outcome = result.then(succeeded, failed).finally(() => {
      this.#abandon(execution);
      this.#executions.delete(videoId);
    });
    this.#executions.set(videoId, Object.assign(execution, { request, abort, outcome }));
  }

  #abandon({ tokens }: RunningExecution): void {
    for (const token of tokens) {
      this.#tokens.abandon(token, 'States.Aborted', 'the execution no longer waits');
    }
  }

  #bind(videoId: string, execution: RunningExecution): LocalHandlers {
    const bound: LocalHandlers = {};
    for (const [name, state] of Object.entries(this.#states)) {
      const handle = state.Type === 'Task' ? this.#handlerOf(name, state) : null;
      if (handle === null) continue;
      bound[name] = async (input) => {
        // A pause before a retry ends early when the execution is stopped.
        if (execution.isStopped) throw stopped();
        this.#options.onTask?.(videoId, name);
        const task = handle(input, execution.tokens);
        execution.tasks.add(task);
        try {
          return asStateOutput(await task) as never;
        } finally {
          execution.tasks.delete(task);
        }
      };
    }
    return bound;
  }

  #handlerOf(
    name: string,
    { Resource: resource = '', HeartbeatSeconds: heartbeat = Infinity }: TaskState,
  ): ((input: unknown, tokens: Set<string>) => Promise<unknown>) | null {
    if (resource.endsWith(WAITS_FOR_TOKEN)) {
      return (input, tokens) => this.#sendAndWait(input, heartbeat, tokens);
    }
    const handler = LAMBDA_ARN.test(resource) ? this.#options.handlers[name] : undefined;
    return handler === undefined ? null : (input) => invoke(handler, input);
  }

  async #sendAndWait(
    input: unknown,
    heartbeatSeconds: number,
    tokens: Set<string>,
  ): Promise<unknown> {
    const { MessageBody: body } = input as { MessageBody: Omit<GenerateMessage, 'sentAt'> };
    const { taskToken } = body;
    tokens.add(taskToken);
    try {
      // Waiting begins before sending: a worker may answer at once.
      const answer = this.#tokens.wait(taskToken, heartbeatSeconds);
      const sent = this.#options.queue
        .send({ ...body, sentAt: Date.now() })
        .catch((error: unknown) => {
          this.#tokens.abandon(taskToken, 'SQS.SdkClientException', String(error));
        });
      const [output] = await Promise.all([answer, sent]);
      return output;
    } finally {
      tokens.delete(taskToken);
    }
  }
}

type LocalHandlers = NonNullable<NonNullable<RunOptions['overrides']>['taskResourceLocalHandlers']>;

async function invoke(handler: FunctionHandler, input: unknown): Promise<unknown> {
  try {
    return await handler(input as never);
  } catch (error) {
    throw TaskFailure.fromFunction(error);
  }
}

function stopped(): TaskFailure {
  return new TaskFailure('States.Aborted', 'the execution was stopped', { isCatchable: false });
}

function succeeded(): ExecutionOutcome {
  return { status: 'SUCCEEDED' };
}

function failed(error: unknown): ExecutionOutcome {
  if (error instanceof ExecutionAbortedError) return { status: 'ABORTED' };
  if (error instanceof ExecutionTimeoutError) {
    return { status: 'TIMED_OUT' };
  }
  const reason = error instanceof ExecutionError ? error.cause : error;
  return {
    status: 'FAILED',
    error: reason instanceof Error ? reason.name : 'States.Runtime',
    cause: reason instanceof Error ? reason.message : String(reason),
  };
}
