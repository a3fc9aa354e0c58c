import type { GenerationRequest, Plan, PromptEmbedding } from '#core/generation.ts';

/** What the workflow hands to the GPU worker. */
export interface GenerateMessage {
  taskToken: string;
  request: GenerationRequest;
  plan: Plan;
  embedding: PromptEmbedding;
  /** Epoch milliseconds when the message was sent. */
  sentAt: number;
  /**
   * Deliveries of this request that came to nothing before this message took the place of the one
   * that a worker gave back; none unless said. That a worker is stopped is not the request's doing,
   * so a delivery that was given back is not among them.
   */
  earlierDeliveries?: number;
}

export interface ReceivedMessage {
  message: GenerateMessage;
  receipt: string;
  /** 1 for the first delivery. */
  deliveries: number;
}

/** Deliveries of a request that came to nothing: its worker was lost, or could not get on. */
export function fruitlessDeliveries({
  message,
  deliveries,
}: Pick<ReceivedMessage, 'message' | 'deliveries'>): number {
  return (message.earlierDeliveries ?? 0) + deliveries - 1;
}

/** Work for the GPU fleet. `SqsQueue` (layers/aws) and `EmbeddedQueue` (local). */
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
