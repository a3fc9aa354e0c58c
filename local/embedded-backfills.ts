import type { Backfill } from '#core/requests/backfill.ts';
import {
  ConditionFailedError,
  FlexCacheError,
  messageWithFix,
  type ErrorCode,
} from '#core/errors.ts';
import type { GenerationRequest, Job } from '#core/generation.ts';
import { attemptOfExecution } from '#core/requests/identity.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import type { BackfillItem, CloseInput, SubmitInput } from '#functions/shared/backfill-states.ts';
import { explainFailure } from '#functions/shared/explain-failure.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { BackfillStarter } from '#ports/workflow.ts';
import { runDistributedMap, type DistributedMapState } from './distributed-map.ts';
import {
  EmbeddedMachine,
  functionRunner,
  stopped,
  type ExecutionOutcome,
  type FunctionHandler,
  type MachineExecution,
  type TaskCall,
  type TaskRunner,
  type WorkState,
} from './embedded-machine.ts';
import { TaskFailure } from './engine-task-failure.ts';
import { nameTaken, nestedFailure, nestedOutput } from './nested-execution.ts';

/** How a line ended: with its video, or why there is none. */
export interface LineEnd {
  item: BackfillItem;
  error: NonNullable<Job['error']> | null;
}

/** The backfills of this process. */
export interface BackfillRunner extends BackfillStarter {
  /** No further line begins; what is under way is finished, and the backfill is then cancelled. */
  drain(backfillId: string): Promise<void>;
  /** Calls back as each line ends, before another begins; returns how to stop listening. */
  onLine(backfillId: string, listener: (end: LineEnd) => void): () => void;
  /**
   * Waits until the backfill has ended; one that nobody has started is returned as it is.
   *
   * @throws FlexCacheError when it could not even be ended.
   */
  finished(backfillId: string): Promise<Backfill>;
}

export interface EmbeddedBackfillsOptions {
  /** The `backfill` state machine as it would be deployed. */
  definition: object;
  /** The handlers of the functions, by the state's name. */
  handlers: Readonly<
    Record<'Prepare' | 'Submit', FunctionHandler> & {
      Close: (input: CloseInput) => Promise<unknown>;
    }
  >;
  backfills: Pick<BackfillTable, 'getBackfill' | 'requestBackfillCancel'>;
  objects: Pick<ObjectStore, 'get' | 'put'>;
  /** Starts the execution of a request, or joins it, and waits for its end and its job's. */
  runGenerate(request: GenerationRequest, attempt: number): Promise<ExecutionOutcome>;
  cancelVideo(videoId: string): Promise<void>;
  retryPauses?: Readonly<Record<string, number>> | undefined;
}

interface Running {
  execution: MachineExecution;
  draining: AbortController;
  /** Ids of the videos in progress. */
  videoIds: Set<string>;
  ended: Promise<Backfill>;
}

const RUNS_EXECUTION = /:states:::states:startExecution\.sync:2$/;

/**
 * Runs the deployed `backfill` state machine in this process, its map and the children of that
 * included. A backfill that a process left unfinished is started again and goes on with what is
 * missing.
 */
export class EmbeddedBackfills implements BackfillRunner {
  readonly #options: EmbeddedBackfillsOptions;
  readonly #machine: EmbeddedMachine;
  readonly #running = new Map<string, Running>();
  readonly #listeners = new Map<string, Set<(end: LineEnd) => void>>();
  #isClosed = false;

  /** @throws Error when a state's task has no handler. */
  constructor(options: EmbeddedBackfillsOptions) {
    this.#options = options;
    const { Prepare, Close } = options.handlers;
    const handlers: Record<string, FunctionHandler> = { Prepare, Close, CloseFailed: Close };
    this.#machine = new EmbeddedMachine({
      definition: options.definition,
      runnerOf: (name, state) =>
        state.Type === 'Map' ? this.#mapRunner(state) : functionRunner(state, handlers[name]),
      retryPauses: options.retryPauses,
    });
  }

  async start(backfillId: string): Promise<void> {
    if (this.#running.has(backfillId)) return;
    const backfill = await this.#require(backfillId);
    if (hasEnded(backfill) || this.#running.has(backfillId)) return;
    const execution = this.#machine.start(backfillId, { backfillId });
    const running = { execution, draining: new AbortController(), videoIds: new Set<string>() };
    const ended = execution.outcome
      .then((outcome) => this.#end(backfillId, outcome))
      .finally(() => this.#running.delete(backfillId));
    // Whoever waits for it is told; that nobody does must not end the process.
    ended.catch(() => {});
    this.#running.set(backfillId, { ...running, ended });
  }

  async stop(backfillId: string): Promise<void> {
    await this.drain(backfillId);
    const running = this.#running.get(backfillId);
    const cancel = (videoId: string): Promise<void> => this.#options.cancelVideo(videoId);
    await Promise.all([...(running?.videoIds ?? [])].map(cancel));
  }

  async drain(backfillId: string): Promise<void> {
    const running = this.#running.get(backfillId);
    running?.draining.abort();
    await this.#options.backfills.requestBackfillCancel(backfillId);
    if (running) return;
    // Nobody works on it: what Step Functions tells of an aborted execution is told here.
    const backfill = await this.#require(backfillId);
    if (!hasEnded(backfill)) await this.#close(backfillId, 'ABORTED');
  }

  onLine(backfillId: string, listener: (end: LineEnd) => void): () => void {
    const listeners = this.#listeners.get(backfillId) ?? new Set();
    this.#listeners.set(backfillId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(backfillId);
    };
  }

  async finished(backfillId: string): Promise<Backfill> {
    return (await this.#running.get(backfillId)?.ended) ?? (await this.#require(backfillId));
  }

  /** Stops every backfill without ending it: the next process goes on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const running = [...this.#running.values()];
    await Promise.all(running.map(({ execution }) => execution.stop()));
    await Promise.allSettled(running.map(({ ended }) => ended));
  }

  /** One whose execution could not end it has it ended here, as a rule of EventBridge does deployed. */
  async #end(backfillId: string, outcome: ExecutionOutcome): Promise<Backfill> {
    const backfill = await this.#require(backfillId);
    if (hasEnded(backfill) || this.#isClosed) return backfill;
    const isStopped = outcome.status === 'FAILED' && outcome.error === stopped().name;
    try {
      await this.#close(backfillId, isStopped ? 'ABORTED' : outcome.status);
    } catch (error) {
      throw outcome.status === 'FAILED' && !isStopped ? asError(outcome) : error;
    }
    return this.#require(backfillId);
  }

  async #close(backfillId: string, status: ExecutionOutcome['status']): Promise<void> {
    const error = { Error: `Execution.${status}`, Cause: '' };
    await this.#options.handlers.Close({ backfillId, error });
  }

  async #require(backfillId: string): Promise<Backfill> {
    const backfill = await this.#options.backfills.getBackfill(backfillId);
    if (backfill !== null) return backfill;
    throw new FlexCacheError('not_found', `there is no backfill ${backfillId}`, {
      field: 'backfillId',
    });
  }

  #mapRunner(state: WorkState): TaskRunner {
    const children = new EmbeddedMachine({
      definition: state['ItemProcessor'] as object,
      runnerOf: (name, child) =>
        RUNS_EXECUTION.test(child.Resource ?? '')
          ? (call) => this.#runGenerate(call)
          : functionRunner(child, name === 'Submit' ? this.#options.handlers.Submit : undefined),
      retryPauses: this.#options.retryPauses,
    });
    return ({ input, executionName: backfillId, signal }) =>
      runDistributedMap({
        state: state as unknown as DistributedMapState,
        input,
        executionName: backfillId,
        signal,
        draining: this.#running.get(backfillId)!.draining.signal,
        objects: this.#options.objects,
        startChild: (name, childInput) => children.start(`${backfillId}:${name}`, childInput),
        onChild: (childInput, outcome) => this.#tell(childInput as SubmitInput, outcome),
      });
  }

  #tell({ backfillId, item }: SubmitInput, outcome: ExecutionOutcome): void {
    if (this.#isClosed || outcome.status === 'ABORTED') return;
    const end: LineEnd = { item, error: errorOf(outcome) };
    for (const listener of this.#listeners.get(backfillId) ?? []) listener(end);
  }

  async #runGenerate({ input, executionName, signal }: TaskCall): Promise<unknown> {
    const { Name: name, Input: generateInput } = input as {
      Name: string;
      Input: { request: GenerationRequest };
    };
    const { request } = generateInput;
    const running = this.#running.get(executionName.slice(0, executionName.indexOf(':')));
    running?.videoIds.add(request.videoId);
    const startedAt = new Date();
    const abandoned = Promise.withResolvers<never>();
    const abandon = (): void => abandoned.reject(stopped());
    signal.addEventListener('abort', abandon);
    try {
      const run = this.#options.runGenerate(request, attemptOfExecution(name));
      const outcome = await Promise.race([run, abandoned.promise]);
      const execution = { name, input: generateInput, startedAt };
      if (outcome.status === 'SUCCEEDED') return nestedOutput(execution, outcome.output);
      throw nestedFailure(execution, outcome);
    } catch (error) {
      throw asTaskFailure(error);
    } finally {
      signal.removeEventListener('abort', abandon);
      running?.videoIds.delete(request.videoId);
    }
  }
}

/** What starting an execution, or waiting for it, can fail with. */
function asTaskFailure(error: unknown): unknown {
  if (error instanceof ConditionFailedError) return nameTaken(error.message);
  if (error instanceof FlexCacheError) return new TaskFailure(error.code, messageWithFix(error));
  return error;
}

function errorOf(outcome: ExecutionOutcome): LineEnd['error'] {
  if (outcome.status === 'SUCCEEDED') return null;
  if (outcome.status === 'FAILED') {
    return explainFailure({ Error: outcome.error, Cause: outcome.cause });
  }
  return explainFailure({ Error: `Execution.${outcome.status}`, Cause: '' });
}

function asError(outcome: { error: string; cause: string }): FlexCacheError {
  const { code, message } = explainFailure({ Error: outcome.error, Cause: outcome.cause });
  return new FlexCacheError(code as ErrorCode, message);
}
