import type { WorkerEvent } from './worker.ts';

/** Whether the worker may be stopped when there are more than are needed. */
export interface TaskProtection {
  /** While it has a message. Cheap to call for every message; never throws. */
  protect(): Promise<void>;
  /** When it has none. */
  release(): Promise<void>;
}

/** Where nobody stops a worker that others are chosen over: embedded, and in a Batch job. */
export const UNPROTECTED: TaskProtection = {
  protect: async () => {},
  release: async () => {},
};

/** A worker that is gone takes its protection with it; one that hangs is ended by its health check. */
const EXPIRES_MINUTES = 24 * 60;

/** Asked for anew in good time, by a worker that always has a message. */
const RENEWED_MILLISECONDS = (EXPIRES_MINUTES / 2) * 60_000;

/** The agent is on the same machine; a video does not wait for it. */
const TIMEOUT_MILLISECONDS = 5000;

/**
 * Scale-in protection of a task of an ECS service, set through the agent of its machine
 * (docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html).
 *
 * @param agentUri `ECS_AGENT_URI`, which the agent gives every container.
 */
export class EcsTaskProtection implements TaskProtection {
  readonly #endpoint: string;
  readonly #log: (event: WorkerEvent) => void;
  readonly #now: () => number;
  /** `now()` when it was last asked for; null while the worker is not protected. */
  #protectedAt: number | null = null;

  constructor(
    agentUri: string,
    log: (event: WorkerEvent) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#endpoint = `${agentUri}/task-protection/v1/state`;
    this.#log = log;
    this.#now = now;
  }

  async protect(): Promise<void> {
    const isFresh =
      this.#protectedAt !== null && this.#now() - this.#protectedAt < RENEWED_MILLISECONDS;
    if (isFresh) return;
    if (await this.#put({ ProtectionEnabled: true, ExpiresInMinutes: EXPIRES_MINUTES })) {
      this.#protectedAt = this.#now();
    }
  }

  async release(): Promise<void> {
    if (this.#protectedAt === null) return;
    if (await this.#put({ ProtectionEnabled: false })) this.#protectedAt = null;
  }

  /** Whether it was set. Without it a worker may be stopped too early, and its message is given back. */
  async #put(state: object): Promise<boolean> {
    try {
      const answer = await fetch(this.#endpoint, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(state),
        signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
      });
      const text = await answer.text();
      // A refusal of ECS is told in the body, as `failure` or `error`, whatever the status.
      if (answer.ok && !/"(failure|error)"/.test(text)) return true;
      throw new Error(`status ${answer.status}: ${text.slice(0, 300)}`);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#log({ level: 'warn', event: 'protection_not_set', message, ...state });
      return false;
    }
  }
}
