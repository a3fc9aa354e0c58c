import { isDeepStrictEqual } from 'node:util';
import { ConditionFailedError } from '#core/errors.ts';
import type { GenerationRequest } from '#core/generation.ts';
import { executionName } from '#core/requests/identity.ts';
import type { TaskCallbacks, WorkflowStarter } from '#ports/workflow.ts';
import { TaskTokens } from './engine-task-tokens.ts';
import {
  EmbeddedMachine,
  functionRunner,
  invokeFunction,
  type ExecutionOutcome,
  type FunctionHandler,
  type MachineExecution,
  type TaskCall,
  type TaskRunner,
  type WorkState,
} from './embedded-machine.ts';

export interface EngineOptions {
  /** The `generate` state machine as it would be deployed. */
  definition: object;
  /** The handler of each state that invokes a function, by the state's name. */
  handlers: Readonly<Record<string, FunctionHandler>>;
  /** Called whenever a state begins its task. */
  onTask?: (videoId: string, stateName: string) => void;
  /** Pauses before retries, in milliseconds by state; for tests. */
  retryPauses?: Readonly<Record<string, number>>;
}

interface Execution extends MachineExecution {
  request: GenerationRequest;
  /** Tokens on which it waits. */
  tokens: Set<string>;
}

const WAITS_FOR_TOKEN = /:states:::lambda:invoke\.waitForTaskToken$/;

/**
 * Runs the deployed `generate` state machine in this process.
 *
 * @example
 * const engine = new EmbeddedEngine({ definition, handlers: { Embed, Lookup, Generate, Commit, Fail } });
 * await engine.start(request, 1);
 * const { status } = await engine.outcome(request.videoId);
 */
export class EmbeddedEngine implements WorkflowStarter {
  readonly #machine: EmbeddedMachine;
  readonly #tokens = new TaskTokens();
  /** By video id. */
  readonly #executions = new Map<string, Execution>();
  /** The same by their names. */
  readonly #videoIds = new Map<string, string>();

  /** @throws Error when a state's task has no handler. */
  constructor({ definition, handlers, onTask, retryPauses }: EngineOptions) {
    this.#machine = new EmbeddedMachine({
      definition,
      runnerOf: (name, state) => this.#runnerOf(state, handlers[name]),
      issueToken: () => this.#tokens.issue(),
      onTask: (name, state) => onTask?.(this.#videoIds.get(name)!, state),
      retryPauses,
    });
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
    const stopping = executions.map((execution) => execution.stop());
    for (const { tokens } of executions) this.#abandon(tokens);
    await Promise.all(stopping);
  }

  #run(request: GenerationRequest, name: string): void {
    const { videoId } = request;
    const tokens = new Set<string>();
    this.#videoIds.set(name, videoId);
    const { outcome, stop } = this.#machine.start(name, { request });
    const ended = outcome.finally(() => {
      this.#abandon(tokens);
      this.#executions.delete(videoId);
      this.#videoIds.delete(name);
    });
    this.#executions.set(videoId, { request, tokens, outcome: ended, stop });
  }

  #abandon(tokens: ReadonlySet<string>): void {
    for (const token of tokens) {
      this.#tokens.abandon(token, 'States.Aborted', 'the execution no longer waits');
    }
  }

  #runnerOf(state: WorkState, handler: FunctionHandler | undefined): TaskRunner | null {
    if (handler === undefined || !WAITS_FOR_TOKEN.test(state.Resource ?? '')) {
      return functionRunner(state, handler);
    }
    return (call) => this.#invokeAndWait(handler, call);
  }

  async #invokeAndWait(
    handler: FunctionHandler,
    { input, executionName: name }: TaskCall,
  ): Promise<unknown> {
    const { Payload: payload } = input as { Payload: { taskToken: string } };
    const { taskToken } = payload;
    const { tokens } = this.#executions.get(this.#videoIds.get(name)!)!;
    tokens.add(taskToken);
    try {
      // Waiting begins before the function does: a worker may answer at once.
      const answer = this.#tokens.wait(taskToken);
      const invoked = invokeFunction(handler, payload).catch((error: unknown) =>
        this.#tokens.reject(taskToken, error as Error),
      );
      const [output] = await Promise.all([answer, invoked]);
      return output;
    } finally {
      tokens.delete(taskToken);
    }
  }
}
