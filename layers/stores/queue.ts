import type { GenerationRequest, Plan, PromptEmbedding } from '../core/generation.ts';

/** What the workflow hands to the GPU worker. */
export interface GenerateMessage {
  taskToken: string;
  request: GenerationRequest;
  plan: Plan;
  embedding: PromptEmbedding;
  /** Epoch milliseconds when the message was sent. */
  sentAt: number;
}

export interface ReceivedMessage {
  message: GenerateMessage;
  receipt: string;
  /** 1 for the first delivery. */
  deliveries: number;
}

/** Work for the GPU fleet. `SqsQueue` (layers/stores) and `EmbeddedQueue` (local). */
export interface WorkQueue {
  send(message: GenerateMessage): Promise<void>;
  /**
   * Waits up to `waitSeconds`; null when nothing came or `signal` was aborted. The message is hidden
   * for `visibilitySeconds`.
   */
  receive(
    waitSeconds: number,
    visibilitySeconds: number,
    signal?: AbortSignal,
  ): Promise<ReceivedMessage | null>;
  /** @throws ConditionFailedError when the message was handed out again: drop the work. */
  extend(receipt: string, visibilitySeconds: number): Promise<void>;
  /** Idempotent. */
  delete(receipt: string): Promise<void>;
}
