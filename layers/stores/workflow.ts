import type { GenerationRequest, GenerationResult } from '../core/generation.ts';

/** Answers of a worker to the workflow that waits on a task token. `SfnTaskCallbacks` and the embedded engine. */
export interface TaskCallbacks {
  /** @throws TaskGoneError when the execution no longer waits on this token: drop the work. */
  sendTaskSuccess(taskToken: string, output: GenerationResult): Promise<void>;
  sendTaskFailure(taskToken: string, error: string, cause: string): Promise<void>;
  sendTaskHeartbeat(taskToken: string): Promise<void>;
}

/** Starts the `generate` state machine. Idempotent by the request's video id. */
export interface WorkflowStarter {
  start(request: GenerationRequest): Promise<void>;
}
