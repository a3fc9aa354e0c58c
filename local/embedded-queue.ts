import { randomUUID } from 'node:crypto';
import { ConditionFailedError } from '#core/errors.ts';
import type { Pool } from '#core/generation.ts';
import { meterQueueRequest } from '#ports/queue-requests.ts';
import type { GenerateMessage, ReceivedMessage, WorkQueue } from '#ports/queue.ts';

interface Held {
  body: string;
  pool: Pool;
  deliveries: number;
  /** Runs while a delivery holds the message. */
  reappears: NodeJS.Timeout | null;
}

interface Waiter {
  visibilitySeconds: number;
  answer: (received: ReceivedMessage | null) => void;
}

/**
 * The work queue inside one process, with the visibility of SQS: a message that is not deleted in
 * time is handed out again. Nothing is kept on disk: a run that is cut short is started again. The
 * one worker serves both pools: what somebody waits for goes before a backfill.
 *
 * @example
 * const queue = new EmbeddedQueue();
 * await queue.send(message);
 * const received = await queue.receive(20, 90);
 */
export class EmbeddedQueue implements WorkQueue {
  readonly #waiting: Readonly<Record<Pool, Held[]>> = { interactive: [], backfill: [] };
  readonly #inFlight = new Map<string, Held>();
  readonly #waiters = new Set<Waiter>();
  #closed = false;

  async send(message: GenerateMessage): Promise<void> {
    const body = JSON.stringify(message);
    meterQueueRequest(body);
    this.#offer({
      body,
      pool: message.request.pool,
      deliveries: 0,
      reappears: null,
    });
  }

  async receive(
    waitSeconds: number,
    visibilitySeconds: number,
    signal?: AbortSignal,
  ): Promise<ReceivedMessage | null> {
    if (this.#closed || signal?.aborted) return null;
    const next = this.#waiting.interactive.shift() ?? this.#waiting.backfill.shift();
    if (next) return metered(this.#deliver(next, visibilitySeconds));
    if (waitSeconds <= 0) return metered(null);

    const received = await new Promise<ReceivedMessage | null>((resolve) => {
      const giveUp = (): void => waiter.answer(null);
      const timer = setTimeout(giveUp, waitSeconds * 1000);
      const waiter: Waiter = {
        visibilitySeconds,
        answer: (received) => {
          this.#waiters.delete(waiter);
          clearTimeout(timer);
          signal?.removeEventListener('abort', giveUp);
          resolve(received);
        },
      };
      signal?.addEventListener('abort', giveUp);
      this.#waiters.add(waiter);
    });
    return metered(received);
  }

  async extend(receipt: string, visibilitySeconds: number): Promise<void> {
    meterQueueRequest();
    const held = this.#inFlight.get(receipt);
    if (!held) throw new ConditionFailedError('the message was handed out again or is done');
    this.#hide(held, receipt, visibilitySeconds);
  }

  async delete(receipt: string): Promise<void> {
    meterQueueRequest();
    const held = this.#inFlight.get(receipt);
    if (!held) return;
    this.#inFlight.delete(receipt);
    clearTimeout(held.reappears ?? undefined);
  }

  /** Answers everyone who waits with null; from here on nothing is handed out. */
  close(): void {
    this.#closed = true;
    for (const held of this.#inFlight.values()) clearTimeout(held.reappears ?? undefined);
    for (const waiter of this.#waiters) waiter.answer(null);
  }

  #offer(held: Held): void {
    const [waiter] = this.#waiters;
    if (waiter) waiter.answer(this.#deliver(held, waiter.visibilitySeconds));
    else this.#waiting[held.pool].push(held);
  }

  #deliver(held: Held, visibilitySeconds: number): ReceivedMessage {
    const receipt = randomUUID();
    held.deliveries += 1;
    this.#inFlight.set(receipt, held);
    this.#hide(held, receipt, visibilitySeconds);
    return {
      message: JSON.parse(held.body) as GenerateMessage,
      receipt,
      deliveries: held.deliveries,
    };
  }

  #hide(held: Held, receipt: string, visibilitySeconds: number): void {
    clearTimeout(held.reappears ?? undefined);
    held.reappears = setTimeout(() => {
      this.#inFlight.delete(receipt);
      this.#offer(held);
    }, visibilitySeconds * 1000);
    // A hidden message alone does not keep the process alive.
    held.reappears.unref();
  }
}

/** A receive is one request, whatever it brings. */
function metered(received: ReceivedMessage | null): ReceivedMessage | null {
  meterQueueRequest(received === null ? '' : JSON.stringify(received.message));
  return received;
}
