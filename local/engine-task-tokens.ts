import { randomUUID } from 'node:crypto';
import type { GenerationResult } from '#core/generation.ts';
import { TaskGoneError } from '#ports/errors.ts';
import type { TaskCallbacks } from '#ports/workflow.ts';
import { TaskFailure } from './engine-task-failure.ts';

interface PendingTask {
  /** Whether a worker has answered at all: until then nobody works on it. */
  isTaken: boolean;
  succeed: (output: GenerationResult) => void;
  fail: (error: Error) => void;
}

/** The tokens on which executions of this process wait. */
export class TaskTokens implements TaskCallbacks {
  readonly #pending = new Map<string, PendingTask>();

  /** A token that nobody had before. */
  issue(): string {
    return randomUUID();
  }

  /**
   * Resolves with the worker's output.
   *
   * @throws TaskFailure with the worker's error.
   */
  async wait(token: string): Promise<GenerationResult> {
    try {
      return await new Promise<GenerationResult>((succeed, fail) => {
        this.#pending.set(token, { isTaken: false, succeed, fail });
      });
    } finally {
      this.#pending.delete(token);
    }
  }

  async sendTaskSuccess(taskToken: string, output: GenerationResult): Promise<void> {
    this.#take(taskToken).succeed(JSON.parse(JSON.stringify(output)) as GenerationResult);
  }

  async sendTaskFailure(taskToken: string, error: string, cause: string): Promise<void> {
    this.#take(taskToken).fail(new TaskFailure(error, cause));
  }

  async sendTaskHeartbeat(taskToken: string): Promise<void> {
    this.#require(taskToken).isTaken = true;
  }

  /** Fails the task if it still waits for a worker; whether it did. */
  failUntaken(token: string, error: string, cause: string): boolean {
    const pending = this.#pending.get(token);
    if (pending === undefined || pending.isTaken) return false;
    this.#take(token).fail(new TaskFailure(error, cause));
    return true;
  }

  /** Fails the task whoever works on it; idempotent. */
  abandon(token: string, error: string, cause: string): void {
    this.reject(token, new TaskFailure(error, cause));
  }

  /** The same with an error that is at hand. */
  reject(token: string, error: Error): void {
    if (this.#pending.has(token)) this.#take(token).fail(error);
  }

  #take(token: string): PendingTask {
    const pending = this.#require(token);
    this.#pending.delete(token);
    return pending;
  }

  #require(token: string): PendingTask {
    const pending = this.#pending.get(token);
    if (pending === undefined) throw new TaskGoneError();
    return pending;
  }
}
