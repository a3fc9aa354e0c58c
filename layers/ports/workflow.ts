import type { GenerationRequest, GenerationResult } from '#core/generation.ts';

/** Answers of a worker to the workflow that waits on a task token. `SfnTaskCallbacks` and the embedded engine. */
export interface TaskCallbacks {
  /** @throws TaskGoneError when the execution no longer waits on this token: drop the work. */
  sendTaskSuccess(taskToken: string, output: GenerationResult): Promise<void>;
  sendTaskFailure(taskToken: string, error: string, cause: string): Promise<void>;
  sendTaskHeartbeat(taskToken: string): Promise<void>;
}

/** Runs the `generate` state machine. */
export interface WorkflowStarter {
  /** Idempotent by video id and attempt. */
  start(request: GenerationRequest, attempt: number): Promise<void>;
  /** Ends the execution of a cancelled job that no worker has taken up; idempotent. A worker at work ends it itself. */
  stop(videoId: string, attempt: number): Promise<void>;
}

/** Looks at executions of the `generate` state machine. */
export interface WorkflowLooker {
  /** Of the execution of an attempt; `absent` when it never began. */
  stateOf(videoId: string, attempt: number): Promise<'running' | 'over' | 'absent'>;
}

/** Runs the `backfill` state machine. */
export interface BackfillStarter {
  /** Idempotent by the backfill's id. */
  start(backfillId: string): Promise<void>;
  /** No further line begins; what is under way is cancelled. Idempotent. */
  stop(backfillId: string): Promise<void>;
}
