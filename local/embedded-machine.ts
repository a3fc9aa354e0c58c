import {
  ExecutionAbortedError,
  ExecutionError,
  ExecutionTimeoutError,
  StateMachine,
  type RunOptions,
  type StateMachineDefinition,
} from 'aws-local-stepfunctions';
import { asStateOutput, TaskFailure } from './engine-task-failure.ts';

/** A deployed function's handler: an event in, a result out. */
export type FunctionHandler = (event: never) => Promise<unknown>;

/** How an execution ended. */
export type ExecutionOutcome =
  | { status: 'SUCCEEDED'; output: unknown }
  | { status: 'ABORTED' | 'TIMED_OUT' }
  | { status: 'FAILED'; error: string; cause: string };

/** A state of a definition that does work outside it. */
export interface WorkState {
  Type: string;
  Resource?: string;
  [field: string]: unknown;
}

/** One entry into such a state. */
export interface TaskCall {
  /** The state's data, with its `Parameters` applied. */
  input: unknown;
  executionName: string;
  /** Aborted when the execution is stopped: nobody waits for the result any more. */
  signal: AbortSignal;
}

export type TaskRunner = (call: TaskCall) => Promise<unknown>;

export interface EmbeddedMachineOptions {
  /** As it would be deployed. */
  definition: object;
  /** Does the work of a state; null when nobody can. */
  runnerOf: (name: string, state: WorkState) => TaskRunner | null;
  /** A token that nobody had before, for each attempt of a state that hands one out. */
  issueToken?: () => string;
  /** Called whenever a state begins its task. */
  onTask?: (executionName: string, stateName: string) => void;
  /** Pauses before retries, in milliseconds by state; for tests. */
  retryPauses?: Readonly<Record<string, number>> | undefined;
}

/** An execution under way. */
export interface MachineExecution {
  outcome: Promise<ExecutionOutcome>;
  /** Ends it, and resolves when no task of it is in progress. */
  stop(): Promise<void>;
}

const LAMBDA_ARN = /^arn:[\w-]+:lambda:/;

/** Timers know no longer time: 24.8 days. */
const MAX_TIMER_SECONDS = 2_147_483;

/** What the library makes of a state is decided by these; the rest is its task's. */
const TRANSITION_FIELDS = [
  'InputPath',
  'ResultSelector',
  'ResultPath',
  'OutputPath',
  'Retry',
  'Catch',
  'Next',
  'End',
] as const;

/**
 * A deployed definition, run by aws-local-stepfunctions with its tasks done in this process. Where
 * that library stops short of Step Functions, as with distributed maps, a state is run as a task.
 *
 * @example
 * const machine = new EmbeddedMachine({ definition, runnerOf: (name) => runners[name] ?? null });
 * const { status } = await machine.start('my-name', input).outcome;
 */
export class EmbeddedMachine {
  readonly #machine: StateMachine;
  readonly #options: EmbeddedMachineOptions;
  readonly #runners = new Map<string, TaskRunner>();

  /** @throws Error when nobody does the work of a state. */
  constructor(options: EmbeddedMachineOptions) {
    this.#options = options;
    const definition = options.definition as StateMachineDefinition;
    const states: Record<string, WorkState> = {};
    for (const [name, state] of Object.entries(definition.States) as [string, WorkState][]) {
      const isWork = state.Type === 'Task' || isDistributedMap(state);
      states[name] = isWork ? asTask(state) : state;
      if (!isWork) continue;
      const runner = options.runnerOf(name, state);
      if (runner === null) {
        throw new Error(`state ${name} has no handler for ${state.Resource ?? state.Type}`);
      }
      this.#runners.set(name, runner);
    }
    const { TimeoutSeconds: timeout } = definition;
    this.#machine = new StateMachine(
      {
        ...definition,
        States: states,
        ...(timeout !== undefined && { TimeoutSeconds: timerSeconds(timeout) }),
      } as unknown as StateMachineDefinition,
      // Half a second at every start, for a definition that was validated when it was written.
      { validationOptions: { noValidate: true } },
    );
  }

  start(name: string, input: unknown): MachineExecution {
    const stopping = new AbortController();
    const tasks = new Set<Promise<unknown>>();
    const { issueToken = (): string => '', retryPauses } = this.#options;
    const { result, abort } = this.#machine.run(input as never, {
      overrides: {
        taskResourceLocalHandlers: this.#handlers(name, stopping.signal, tasks),
        ...(retryPauses && { retryIntervalOverrides: retryPauses }),
      },
      context: {
        Execution: { Id: name, Name: name },
        // Every attempt reads a token of its own.
        Task: {
          get Token(): string {
            return issueToken();
          },
        },
      },
    });
    const outcome = result.then(succeeded, failed);
    return {
      outcome,
      stop: async () => {
        stopping.abort();
        abort();
        await Promise.allSettled([...tasks, outcome]);
      },
    };
  }

  #handlers(
    executionName: string,
    signal: AbortSignal,
    tasks: Set<Promise<unknown>>,
  ): LocalHandlers {
    const handlers: LocalHandlers = {};
    for (const [name, run] of this.#runners) {
      handlers[name] = async (input) => {
        // A pause before a retry ends early when the execution is stopped.
        if (signal.aborted) throw stopped();
        this.#options.onTask?.(executionName, name);
        const task = run({ input, executionName, signal });
        tasks.add(task);
        try {
          return asStateOutput(await task) as never;
        } finally {
          tasks.delete(task);
        }
      };
    }
    return handlers;
  }
}

type LocalHandlers = NonNullable<NonNullable<RunOptions['overrides']>['taskResourceLocalHandlers']>;

/** Does the work of a state that invokes a function; null when it invokes none. */
export function functionRunner(
  { Resource: resource = '' }: WorkState,
  handler: FunctionHandler | undefined,
): TaskRunner | null {
  if (handler === undefined || !LAMBDA_ARN.test(resource)) return null;
  return ({ input }) => invokeFunction(handler, input);
}

/** @throws TaskFailure as Lambda reports what a function threw. */
export async function invokeFunction(handler: FunctionHandler, input: unknown): Promise<unknown> {
  try {
    return await handler(input as never);
  } catch (error) {
    throw TaskFailure.fromFunction(error);
  }
}

/** What the execution waits for when it is stopped. */
export function stopped(): TaskFailure {
  return new TaskFailure('States.Aborted', 'the execution was stopped', { isCatchable: false });
}

function isDistributedMap(state: WorkState): boolean {
  const processor = state['ItemProcessor'] as { ProcessorConfig?: { Mode?: string } } | undefined;
  return state.Type === 'Map' && processor?.ProcessorConfig?.Mode === 'DISTRIBUTED';
}

function asTask(state: WorkState): WorkState {
  const timeout = (state['TimeoutSeconds'] as number | undefined) ?? Infinity;
  if (state.Type === 'Task') return { ...state, TimeoutSeconds: timerSeconds(timeout) };
  const transitions = TRANSITION_FIELDS.filter((field) => field in state);
  return {
    Type: 'Task',
    Resource: 'distributed map',
    TimeoutSeconds: timerSeconds(timeout),
    ...Object.fromEntries(transitions.map((field) => [field, state[field]])),
  };
}

function timerSeconds(seconds: number): number {
  return Math.min(seconds, MAX_TIMER_SECONDS);
}

function succeeded(output: unknown): ExecutionOutcome {
  return { status: 'SUCCEEDED', output };
}

function failed(error: unknown): ExecutionOutcome {
  if (error instanceof ExecutionAbortedError) return { status: 'ABORTED' };
  if (error instanceof ExecutionTimeoutError) return { status: 'TIMED_OUT' };
  const reason = error instanceof ExecutionError ? error.cause : error;
  return {
    status: 'FAILED',
    error: reason instanceof Error ? reason.name : 'States.Runtime',
    cause: reason instanceof Error ? reason.message : String(reason),
  };
}
